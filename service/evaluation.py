"""Attacks labelled images and measures how well bundles tell them from clean ones."""

import json as json_format
from collections.abc import Collection, Mapping
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table as RichTable

from detector.detector import Detector
from detector.evaluation.attacks import SUITE
from detector.evaluation.experiment import Experiment, run_experiment
from detector.evaluation.page import Table, write_page
from detector.evaluation.presentation import attack_table, build_page, comparison_table, natural_table
from detector.evaluation.serialised import as_document
from models.files import replace_atomically
from service.bundles import ClassifierChoice, OpenedDetector, open_detector
from service.console import results, write_json
from service.errors import InputError
from service.imagesets import load_image_set
from service.outputs import require_writable
from service.progress import progress_bars

RESULTS_FILE = "results.json"
PAGE_FILE = "report.html"


def run_evaluation(
    *,
    bundles: list[str],
    images: str,
    choice: ClassifierChoice,
    limit: int,
    seed: int,
    download: bool,
    out: Path | None,
    json: bool,
) -> None:
    """Run the suite of attacks once and judge it with every bundle; the first one is shown in full.

    Raises:
        InputError: bundles of different classifiers, or images that cannot be read.
        DetectorError, ModelError: a bundle or the classifier cannot be used.
    """
    opened = {Path(name).name: open_detector(name, false_positive_rate=0.05, choice=choice) for name in bundles}
    if len(opened) < len(bundles):
        raise InputError(f"two of the bundles {', '.join(bundles)} have one name; rename one of their folders")
    first = next(iter(opened.values()))
    _require_one_classifier(opened)
    if out is not None:
        require_writable(out)
    with progress_bars() as progress:
        data = load_image_set(images, first.preprocessing, labels=first.labels, download=download, progress=progress)
        detectors = {name: one.detector for name, one in opened.items()}
        experiment = run_experiment(detectors, data, SUITE, limit=limit, seed=seed, progress=progress)
    if out is not None:
        write_report(out, detectors, experiment, title=f"Evaluation of {next(iter(opened))}", lead=_LEAD)
    show(experiment, json=json)


_LEAD = (
    "Every attack sees the classifier alone and runs on images that no calibration has seen. Only successful attacks "
    "count. Thresholds are those of the calibration."
)


def write_report(
    out: Path, detectors: Mapping[str, Detector], experiment: Experiment, *, title: str, lead: str
) -> None:
    """Write `results.json` and `report.html`; the page shows the first detector in full."""
    name, detector = next(iter(detectors.items()))
    record = detector.bundle.record
    facts = [
        ("classifier", record.classifier),
        ("accuracy on these images", f"{experiment.accuracy:.1%}"),
        ("clean images", str(len(experiment.clean))),
        ("prototypes of each label", f"{len(record.prototype_kinds)} {', '.join(sorted(set(record.prototype_kinds)))}"),
        ("mixing weights", ", ".join(f"{weight:.2f}" for weight in detector.bundle.mixing.tolist())),
        ("forward passes an image", f"{detector.bundle.expected_forward_equivalents:.3g}"),
    ]
    write_page(build_page(title, lead, facts, detector, name, experiment), out / PAGE_FILE)
    with replace_atomically(out / RESULTS_FILE) as temporary:
        temporary.write_text(json_format.dumps(as_document(experiment), indent=2, allow_nan=False) + "\n")


def show(experiment: Experiment, *, json: bool) -> None:
    """Print the tables, or the whole document as JSON."""
    if json:
        write_json(as_document(experiment))
        return
    every = list(experiment.figures.values())
    if len(every) > 1:
        results.print(rendered(comparison_table(every)))
    results.print(rendered(attack_table(every[0]), leave_out=("L2", "L∞ / 255", "95 % interval")))
    results.print(rendered(natural_table(every[0]), leave_out=("95 % interval",)))
    if every[0].small_recovered is not None:
        results.print(f"true label suspected, flagged attacks up to 2/255: {every[0].small_recovered:.3f}")


def rendered(table: Table, leave_out: Collection[str] = ()) -> RichTable:
    """A table of the page, for a terminal, which has no room for all its columns."""
    shown = RichTable(title=table.title, caption=table.note or None, box=SIMPLE_HEAD)
    kept = [index for index, column in enumerate(table.columns) if column not in leave_out]
    for index in kept:
        shown.add_column(table.columns[index], justify="right" if index else "left", no_wrap=not index)
    for row in table.rows:
        shown.add_row(*(_cell(row[index]) for index in kept))
    return shown


def _cell(value: str | float | int | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _require_one_classifier(opened: Mapping[str, OpenedDetector]) -> None:
    digests = {name: one.detector.bundle.record.classifier_digest for name, one in opened.items()}
    if len(set(digests.values())) > 1:
        raise InputError(
            f"the bundles {', '.join(digests)} are for different classifiers; attacks are made for one, so give "
            "bundles of one classifier at a time"
        )
