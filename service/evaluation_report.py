"""What an evaluation leaves behind: files in its folder, and tables in the terminal."""

import dataclasses
import json as json_format
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from detector.detector import Detector
from detector.evaluation.baseline_tables import baseline_table
from detector.evaluation.experiment import Experiment
from detector.evaluation.page import write_page
from detector.evaluation.presentation import build_page
from detector.evaluation.result_tables import attack_table, comparison_table, natural_table
from detector.evaluation.results import DetectorFigures
from detector.evaluation.run_settings import DEFAULT_RUNTIME
from detector.evaluation.score_table import scores_as_parquet
from detector.evaluation.serialised import as_document
from detector.evaluation.shards import write_whole
from detector.evaluation.stress_tables import adaptive_table, benign_table
from service.console import printable, results, write_json
from service.terminal_tables import rendered

RESULTS_FILE = "results.json"
SCORES_FILE = "scores.parquet"
PAGE_FILE = "report.html"

_WIDE = ("L2", "L∞ / 255", "95 % interval", "ε / 255", "loss, first step", "loss, last step", "what it is")


def write_report(
    out: Path,
    detectors: Mapping[str, Detector],
    experiment: Experiment,
    run: Mapping[str, Any],
    *,
    title: str,
    lead: str,
) -> None:
    """Write `results.json`, `scores.parquet` and `report.html`; the page shows the first detector in full.

    Raises:
        OSError: a file cannot be written; names it.
    """
    name, detector = next(iter(detectors.items()))
    record = detector.bundle.record
    facts = [
        ("classifier", record.classifier),
        ("accuracy on these images", f"{experiment.accuracy:.1%}"),
        ("clean images", str(len(experiment.clean))),
        ("prototypes of each label", f"{len(record.prototype_kinds)} {', '.join(sorted(set(record.prototype_kinds)))}"),
        ("mixing weights", ", ".join(f"{weight:.2f}" for weight in detector.bundle.mixing.tolist())),
        ("runtime", str(run["runtime"])),
        ("forward passes a clean image", f"{detector.bundle.expected_forward_equivalents:.3g}"),
    ]
    document = json_format.dumps(as_document(experiment, run), indent=2, allow_nan=False)
    write_whole(out / RESULTS_FILE, (document + "\n").encode())
    write_whole(out / SCORES_FILE, scores_as_parquet(experiment.scores))
    write_page(build_page(title, lead, facts, detector, name, experiment), out / PAGE_FILE)


def show(experiment: Experiment, run: Mapping[str, Any], *, json: bool) -> None:
    """Print the tables, or the whole document as JSON."""
    if json:
        write_json(as_document(experiment, run))
        return
    every = list(experiment.figures.values())
    if len(every) > 1:
        results.print(rendered(comparison_table(every)))
    for table in _tables(every[0], experiment):
        results.print(rendered(table, leave_out=_WIDE))
    if run["runtime"] != DEFAULT_RUNTIME:
        results.print(f"judged with the runtime {run['runtime']}; attacks saw the classifier in PyTorch's float32")
    for line in _lines(every[0], experiment):
        results.print(printable(line), markup=False)


def _tables(figures: DetectorFigures, experiment: Experiment) -> Iterator[Any]:
    """The first detector's tables; of the corruptions only the strongest, and names for titles, for want of room."""
    yield attack_table(figures)
    yield natural_table(figures)
    strongest = max((found.severity for found in figures.benign), default=0)
    yield from _if_any(benign_table([found for found in figures.benign if found.severity == strongest]))
    yield from _if_any(adaptive_table([dataclasses.replace(found, title=found.name) for found in figures.adaptive]))
    if experiment.baselines:
        yield baseline_table(figures, experiment.baselines)


def _if_any(table: Any) -> Iterator[Any]:
    if table.rows:
        yield table


def _lines(figures: DetectorFigures, experiment: Experiment) -> Iterator[str]:
    worst = figures.worst_case
    if worst is not None:
        yield (
            f"worst case over the attacks on each of {worst.n} images: AUROC {worst.auroc.value:.3f}, "
            f"flagged at 5 % {worst.tpr[0.05].value:.3f}"
        )
    if figures.small_recovered is not None:
        yield f"true label suspected, flagged attacks up to 2/255: {figures.small_recovered:.3f}"
    for name, reason in experiment.skipped.items():
        yield f"skipped {name}: {reason}"
