"""What follows when every image is judged: the summary, the list of discoveries, the report, the last words."""

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any

from rich.text import Text

from detector.bundle import Bundle
from detector.types import ProgressCallback
from service.console import printable, results
from service.detection import EXIT_FLAGGED, EXIT_NOT_JUDGED
from service.images import DEFAULT_LIMITS
from service.offline.audit_request import AuditRequest
from service.offline.folder.audit_folder import AuditFolder
from service.offline.folder.durable import write_durably
from service.offline.folder.names import REPORT_FILE, SUMMARY_FILE
from service.offline.reading.item_reader import ItemReader
from service.offline.report.reporting import report_audit
from service.offline.summary.discoveries import write_discoveries
from service.offline.summary.summarising import summarise
from service.offline.summary.summary_types import Summary
from service.options import AuditFailOn

MOST_REASONS = 3
"""Why images could not be read, on the terminal."""


def conclude(request: AuditRequest, bundle: Bundle, folder: AuditFolder, progress: ProgressCallback) -> Summary:
    """Make everything that is made of the results of all shards, and write it.

    Raises:
        OSError: the disk failed, or the network where pictures are read again.
    """
    summary = summarise(
        folder.path,
        false_discovery_rate=request.false_discovery_rate,
        n_calibration=len(bundle.conformal.scores),
        labels=bundle.record.labels,
        progress=progress,
    )
    write_discoveries(folder.path, summary)
    document = json.dumps(summary.as_document(), indent=2, allow_nan=False) + "\n"
    write_durably(folder.path / SUMMARY_FILE, document.encode())
    shown = dataclasses.replace(summary, ranked=summary.ranked[: request.n_pictures])
    progress("writing the report", 0, 1)
    reader = ItemReader(allow_urls=request.allow_urls, n_bytes=DEFAULT_LIMITS.n_bytes)
    with contextlib.closing(reader):
        report_audit(folder, shown, bundle=bundle, reader=reader)
    progress("writing the report", 1, 1)
    return summary


def exit_code(summary: Summary, fail_on: AuditFailOn | None) -> int:
    """What the command ends with."""
    found = {
        None: 0,
        AuditFailOn.FLAGGED: summary.counts.n_flagged,
        AuditFailOn.DISCOVERIES: summary.discoveries.n,
        AuditFailOn.UNREADABLE: summary.counts.n_unreadable,
    }
    if found[fail_on]:
        return EXIT_FLAGGED
    return 0 if summary.counts.n_judged else EXIT_NOT_JUDGED


def done_document(summary: Summary, out: Path) -> dict[str, Any]:
    """The last of the JSON lines: the summary, and where it lies."""
    return {"event": "done", "out": str(out), **summary.as_document()}


def write_words(summary: Summary, out: Path) -> None:
    """Say on stdout what came out, in a few lines for people."""
    counts = summary.counts
    early = f" ({counts.n_left_early:,} left early)" if counts.n_left_early else ""
    line = Text(f"{counts.n_images:,} images: {counts.n_clean:,} clean{early}, ")
    line.append(f"{counts.n_adversarial:,} adversarial", "bold red" if counts.n_adversarial else "")
    line.append(f", {counts.n_undecided:,} undecided, {counts.n_unreadable:,} unreadable")
    results.print(line)
    for reason in summary.unreadable[:MOST_REASONS]:
        results.print(Text(printable(f"  {reason.n:,} unreadable: {reason.error} (such as {reason.examples[0]})")))
    agreement = summary.agreement
    if agreement is not None and not agreement.compared.of:
        results.print(
            "none of the labels that the source gives is a label of the classifier: is this the right bundle? Images "
            "of another kind are flagged without any attack"
        )
    comparison = summary.comparison
    if comparison is not None and comparison.adversarial.value is not None:
        results.print(
            f"{comparison.adversarial.value:.2%} were judged adversarial; clean images that the classifier gets right "
            f"would give {comparison.lowest:.2%} to {comparison.highest:.2%}"
        )
    results.print(_discoveries_in_words(summary))
    results.print(Text(printable(out / REPORT_FILE)))


def _discoveries_in_words(summary: Summary) -> str:
    found = summary.discoveries
    name = "discovery" if found.n == 1 else "discoveries"
    words = f"{found.n:,} {name} at a false-discovery rate of {found.false_discovery_rate:g}"
    if found.n or not found.n_tested:
        return words
    return (
        f"{words}: among {found.n_tested:,} images it takes {found.n_needed:,} with the smallest p-value that the "
        f"bundle can give ({found.smallest_p_value:.2g}); here: {found.n_at_smallest:,}"
    )
