"""Feedback in the forms in which it leaves: lines, and an archive of images for the next calibration."""

import json
import zipfile
from collections.abc import Iterator, Mapping
from typing import IO

from detector.verdict import Decision
from service.audits.feedback_store import Feedback, FeedbackStore
from service.rest.audits.schemas import describe_feedback
from service.runtime import ServedBundle

UNLABELLED = "unlabelled"


def feedback_lines(store: FeedbackStore, bundles: Mapping[str, ServedBundle], *, key_id: str | None) -> Iterator[bytes]:
    """Each feedback as a line of JSON; None stands for every key."""
    for feedback in store.each(key_id=key_id, bundle=None):
        served = bundles.get(feedback.bundle)
        yield _line(feedback, served.labels if served else (), None).encode("ascii")


def write_export(file: IO[bytes], store: FeedbackStore, bundle: ServedBundle, *, key_id: str | None) -> None:
    """Write the zip archive of what was said of one bundle's verdicts; None stands for every key.

    `clean/LABEL/ID.png` and `adversarial/LABEL/ID.png` are the pixels that were judged, exactly, in the folder of the
    label that is said to be right. Where none was said, a clean image is in that of the label predicted, and an
    adversarial one under `unlabelled`. What was said of another bundle of the same name is left out.
    """
    lines = []
    # Images of PNG do not become smaller.
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for feedback in store.each(key_id=key_id, bundle=bundle.name):
            if feedback.bundle_digest != bundle.digest:
                continue
            path = None
            if feedback.image is not None:
                path = f"{feedback.correct_decision.value}/{_folder(feedback, bundle.labels)}/{feedback.id}.png"
                archive.writestr(path, feedback.image)
            lines.append(_line(feedback, bundle.labels, path))
        archive.writestr("feedback.jsonl", "".join(lines))


def _line(feedback: Feedback, labels: tuple[str, ...], path: str | None) -> str:
    content = describe_feedback(feedback, labels).model_dump(mode="json")
    return json.dumps(content | ({} if path is None else {"path": path})) + "\n"


def _folder(feedback: Feedback, labels: tuple[str, ...]) -> str:
    label = feedback.correct_label
    if label is None and feedback.correct_decision is Decision.CLEAN:
        label = feedback.record["label"]
    return UNLABELLED if label is None else folder_name(label, labels)


def folder_name(label: int, labels: tuple[str, ...]) -> str:
    """A label's name where a folder can have it, and readers see it: no path, not hidden."""
    name = labels[label]
    is_plain = name.strip() == name and not name.startswith(".") and not set(name) & set('/\\\0:*?"<>|')
    return name if name and is_plain else f"label-{label}"
