"""Judges files and says the verdicts, one a line."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from rich.text import Text
from torch import Tensor

from detector.types import ProgressCallback, to_pixels
from detector.verdict import Decision, Outcome
from service.bundles import ClassifierChoice, OpenedDetector, open_detector
from service.console import printable, results, write_json
from service.errors import InputError
from service.images import read_image
from service.options import FailOn
from service.progress import progress_bars
from service.records import Record, error_record, verdict_record

BATCH_SIZE = 64

EXIT_NOT_JUDGED = 2
EXIT_FLAGGED = 3

STYLES = {"clean": "green", "adversarial": "bold red", "undecided": "yellow"}


def run_detection(
    paths: Sequence[Path],
    *,
    bundle: str,
    choice: ClassifierChoice,
    false_positive_rate: float,
    fail_on: FailOn | None,
    json: bool,
) -> int:
    """Write one verdict a file to stdout, in the order given, and return the exit code.

    Raises:
        InputError, DetectorError, ModelError: the detector cannot be had. A file that cannot be read raises nothing.
    """
    judged = []
    with progress_bars() as progress:
        opened = open_detector(bundle, false_positive_rate=false_positive_rate, choice=choice, progress=progress)
        for record in judge_files(paths, opened, progress=progress):
            judged.append((record["decision"], record["outcome"]))
            if json:
                write_json(record)
            else:
                results.print(in_words(record))
    return exit_code(judged, fail_on)


def exit_code(judged: Sequence[tuple[str, str | None]], fail_on: FailOn | None) -> int:
    """Decide the exit code from each file's (decision, outcome); a file that could not be read has no outcome."""
    if any(outcome is None for _, outcome in judged):
        return EXIT_NOT_JUDGED
    if fail_on is FailOn.ADVERSARIAL and any(decision != Decision.CLEAN for decision, _ in judged):
        return EXIT_FLAGGED
    return EXIT_NOT_JUDGED if any(decision == Decision.UNDECIDED for decision, _ in judged) else 0


def judge_files(
    paths: Sequence[Path], opened: OpenedDetector, *, progress: ProgressCallback, batch_size: int = BATCH_SIZE
) -> Iterator[Record]:
    """Yield one record a file, in order; files are decoded and judged a batch at a time."""
    for start in range(0, len(paths), batch_size):
        batch = paths[start : start + batch_size]
        yield from _judge_batch(batch, opened)
        progress("judging images", start + len(batch), len(paths))


def _judge_batch(paths: Sequence[Path], opened: OpenedDetector) -> list[Record]:
    decoded: list[Tensor] = []
    errors: dict[int, str] = {}
    for position, path in enumerate(paths):
        try:
            decoded.append(read_image(path, opened.preprocessing))
        except InputError as error:
            # The record has the path in a field of its own.
            errors[position] = str(error).removeprefix(f"{path}: ")
    verdicts = iter(opened.detector.inspect(to_pixels(torch.stack(decoded))) if decoded else ())
    return [
        error_record(str(path), errors[position])
        if position in errors
        else verdict_record(str(path), next(verdicts), opened.labels)
        for position, path in enumerate(paths)
    ]


def in_words(record: Record) -> Text:
    """One line for people."""
    line = Text.assemble(printable(record["path"]), "  ", (record["decision"], STYLES[record["decision"]]))
    if record["label_name"] is not None:
        line.append(f"  {printable(record['label_name'])}")
    if record["suspected_label_name"] is not None:
        line.append(f", perhaps truly {printable(record['suspected_label_name'])}")
    for name, unit in (("score", ""), ("p_value", ""), ("barrier", " nats")):
        if record[name] is not None:
            line.append(f"  {name.replace('_', '-')} {record[name]:.3g}{unit}", style="dim")
    if record["outcome"] == Outcome.LEFT_EARLY.name.lower():
        line.append("  left early", style="dim")
    if record["error"] is not None:
        line.append(f"  {printable(record['error'])}", style="yellow")
    return line
