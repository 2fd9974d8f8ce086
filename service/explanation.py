"""Explains the verdict on one file: a page to attach to a ticket, and the same as JSON."""

import json as json_format
from pathlib import Path

from rich.text import Text
from torch import Tensor

from detector.evaluation.explanation import Explanation, ExplanationSettings, explain
from detector.evaluation.explanation_page import ExplanationPage, render_explanation
from detector.files import replace_atomically
from detector.search import MethodName, PotentialKind, SearchSettings
from detector.types import to_pixels
from service.bundles import ClassifierChoice, OpenedDetector, open_detector
from service.console import printable, results, write_json
from service.detection import in_words
from service.errors import InputError
from service.explanation_records import Document, explanation_document
from service.images import read_image
from service.outputs import require_writable
from service.progress import progress_bars

PAGE_FILE = "explanation.html"
DOCUMENT_FILE = "explanation.json"

MOST_LABELS_LISTED = 20


def run_explanation(
    path: Path,
    *,
    to: str | None,
    bundle: str,
    choice: ClassifierChoice,
    false_positive_rate: float,
    out: Path,
    method: str,
    potential: str,
    budget: int,
    json: bool,
) -> None:
    """Judge a file and write `explanation.html` and `explanation.json` into a folder.

    Raises:
        InputError: the image or the target cannot be read, the target is neither a file nor a label, or nothing can be
            written.
        DetectorError, ModelError: the detector cannot be had, or the bundle has no prototype of the label.
    """
    settings = ExplanationSettings(
        potential=PotentialKind(potential), method=MethodName(method), search=SearchSettings(budget=budget)
    )
    require_writable(out)
    opened = open_detector(bundle, false_positive_rate=false_positive_rate, choice=choice)
    image = _pixels_of(path, opened)
    target = None if to is None else parse_target(to, opened)
    with progress_bars() as progress:
        explanation = explain(opened.detector, image, to=target, settings=settings, progress=progress)
    target_path = to if isinstance(target, Tensor) else None
    record = opened.detector.bundle.record
    document = explanation_document(
        explanation,
        path=str(path),
        target_path=target_path,
        labels=opened.labels,
        classifier=record.classifier,
        digest=record.classifier_digest,
    )
    write_explanation(out, document, _page(explanation, path, target_path, opened))
    if json:
        write_json(document)
    else:
        for line in summary(document):
            results.print(line)
        results.print(f"page: {printable(out / PAGE_FILE)}", markup=False)


def parse_target(to: str, opened: OpenedDetector) -> int | Tensor:
    """The pixels of the file that `to` names if there is one, otherwise the label of that name or number.

    Raises:
        InputError: it is neither, or the file cannot be decoded.
    """
    if Path(to).is_file():
        return _pixels_of(Path(to), opened)
    names = [name.casefold() for name in opened.labels]
    if to.casefold() in names:
        return names.index(to.casefold())
    if to.isdecimal() and int(to) < len(names):
        return int(to)
    listed = ", ".join(f"{index} {name}" for index, name in enumerate(opened.labels[:MOST_LABELS_LISTED]))
    more = f", … {len(names)} in all" if len(names) > MOST_LABELS_LISTED else ""
    raise InputError(f"{to!r} is neither an image file nor a label; the labels are {listed}{more}")


def _pixels_of(path: Path, opened: OpenedDetector) -> Tensor:
    return to_pixels(read_image(path, opened.preprocessing)[None])[0]


def write_explanation(out: Path, document: Document, page: ExplanationPage) -> None:
    """Write both files; neither is replaced before both are whole.

    Raises:
        InputError: they cannot be written.
    """
    html = render_explanation(page)
    # ASCII, because a file name may hold bytes that no encoding can write.
    text = json_format.dumps(document, indent=2, allow_nan=False)
    try:
        with (
            replace_atomically(out / PAGE_FILE) as page_file,
            replace_atomically(out / DOCUMENT_FILE) as document_file,
        ):
            page_file.write_text(html, encoding="utf-8")
            document_file.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"the explanation cannot be written into {out} ({error.strerror}); name a folder that can be written to"
        ) from error


def summary(document: Document) -> list[Text]:
    """The verdict, and what the search found, for people."""
    lines = [in_words(document["verdict"])]
    search = document["search"]
    if search is not None and search["outcome"] is not None:
        unit = document["settings"]["unit"]
        heights = " → ".join(
            "–" if h is None else f"{h:.3g}" for h in (search["barrier_before"], search["barrier_after"])
        )
        advice = f"{search['advice']} This is shown, not judged."
        lines.append(Text(f"path to {_destination(document)}, measured finely: barrier {heights} {unit}. {advice}"))
    elif search is not None:
        lines.append(Text(f"no search: {printable(search['refusal'])}"))
    return lines


def _destination(document: Document) -> str:
    target = document["target"]
    if target["kind"] == "image":
        return printable(target["path"])
    return printable(f"prototype {target['prototype']} of {target['label_name']}")


def _page(explanation: Explanation, path: Path, target_path: str | None, opened: OpenedDetector) -> ExplanationPage:
    bundle = opened.detector.bundle
    record = bundle.record
    return ExplanationPage(
        name=printable(path.name),
        target_name=None if target_path is None else printable(Path(target_path).name),
        labels=opened.labels,
        explanation=explanation,
        facts=(
            ("classifier", record.classifier),
            ("its digest", record.classifier_digest[:12]),
            ("bundle made", record.created),
            ("forward passes of a clean image's verdict", f"{bundle.expected_forward_equivalents:.3g}"),
            ("false alarms asked for", f"{explanation.verdict.false_positive_rate:.2g}"),
        ),
        footer=(
            f"Isthmus. The verdict is that of isthmus detect; the numbers behind this page are in {DOCUMENT_FILE}."
        ),
    )
