"""Runs a study, writes its page and its numbers, and says what it found."""

import dataclasses
import json as json_format
import time
from pathlib import Path

from detector.files import replace_atomically
from service.console import results, write_json
from service.outputs import require_writable
from service.progress import progress_bars
from service.studies.catalogue import entry_named, study_of
from service.studies.page import badge_of, render_study
from service.studies.report import Study, StudyReport, StudyRequest
from service.studies.serialised import as_document
from service.terminal_tables import rendered

PAGE_FILE = "report.html"
STUDY_FILE = "study.json"


def run_study(name: str, request: StudyRequest, *, json: bool) -> None:
    """Run one study.

    Raises:
        InputError: there is no such study, images cannot be read, or the results could not be written.
        DetectorError, ModelError: the classifier cannot be loaded, or does not suit the study.
    """
    entry = entry_named(name)
    require_writable(request.out)
    report = timed(study_of(entry), request)
    write_study(report, request.out)
    show(report, request.out, json=json)


def timed(study: Study, request: StudyRequest) -> StudyReport:
    """Run it, and put down how long it took."""
    started = time.perf_counter()
    with progress_bars() as progress:
        report = study(request, progress)
    seconds = time.perf_counter() - started
    facts = (*report.facts, ("seed", str(request.seed)), ("run time", f"{seconds:.0f} s"))
    return dataclasses.replace(report, facts=facts)


def write_study(report: StudyReport, out: Path) -> None:
    """Write `report.html` and `study.json`, each whole or not at all."""
    document = json_format.dumps(as_document(report), indent=2, allow_nan=False) + "\n"
    for name, text in ((PAGE_FILE, render_study(report)), (STUDY_FILE, document)):
        with replace_atomically(out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def show(report: StudyReport, out: Path, *, json: bool) -> None:
    """Print findings and tables, or the whole document as JSON."""
    if json:
        write_json(as_document(report))
        return
    results.print(report.title, style="bold", markup=False)
    for finding in report.findings:
        word, sign = badge_of(finding)
        results.print(f"{sign} {word}: {finding.measured}\n    claim: {finding.claim}", markup=False)
    for table in report.tables:
        results.print(rendered(table))
    results.print(f"page: {out / PAGE_FILE}", markup=False)
