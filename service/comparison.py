"""Puts the results of finished runs side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detector.evaluation.page import Page, Section, write_page
from detector.evaluation.tables import Table
from service.comparison_tables import (
    adaptive_comparison,
    auroc_comparison,
    flagged_comparison,
    shared_attacks,
    summary_comparison,
)
from service.console import results, write_json
from service.errors import InputError
from service.outputs import require_writable
from service.run_results import DetectorResult, RunResults, read_runs
from service.terminal_tables import rendered

_LEAD = "Figures of finished evaluations side by side; each was measured by the run that it stands under."


def run_comparison(folders: Sequence[Path], *, out: Path | None, json: bool) -> None:
    """Compare the bundles of some runs, on the terminal and, where asked for, on a page.

    Raises:
        InputError: a folder holds no finished run of this version, or there is nothing to compare it with.
        PageError: the page cannot be written.
    """
    runs = read_runs(folders)
    contenders = contenders_of(runs)
    if len(contenders) < 2:
        raise InputError("one run with one bundle cannot be compared with anything; name two runs or more")
    if out is not None:
        require_writable(out.parent)
    warnings = warnings_about(runs, contenders)
    tables = [
        summary_comparison(contenders, note=" ".join(warnings)),
        auroc_comparison(contenders),
        flagged_comparison(contenders),
        adaptive_comparison(contenders),
    ]
    shown = [table for table in tables if table.rows]
    if out is not None:
        write_page(_page(list(runs), shown), out)
    if json:
        write_json(_document(contenders, warnings))
        return
    for table in shown:
        results.print(rendered(table))
    if out is not None:
        results.print(f"page: {out}", markup=False)


def contenders_of(runs: Mapping[str, RunResults]) -> dict[str, DetectorResult]:
    """Every bundle of every run: by the run's name, with the bundle's where a run has several."""
    return {
        name if len(found.detectors) == 1 else f"{name} · {bundle}": detector
        for name, found in runs.items()
        for bundle, detector in found.detectors.items()
    }


def warnings_about(runs: Mapping[str, RunResults], contenders: Mapping[str, DetectorResult]) -> list[str]:
    """What makes the runs' figures hard to compare, a sentence each; none where all were made alike."""
    warnings = []
    settings = [found.run for found in runs.values()]
    differing = {
        "classifiers": len({one.classifier for one in settings}) > 1,
        "images": len({one.images for one in settings}) > 1,
        "limits": len({one.limit for one in settings}) > 1,
        "seeds": len({one.seed for one in settings}) > 1,
        "runtimes": len({one.runtime for one in settings}) > 1,
    }
    if any(differing.values()):
        kinds = [kind for kind, is_differing in differing.items() if is_differing]
        warnings.append(f"Careful: the runs have different {_listed(kinds)}, so their figures differ for that too.")
    meanings: dict[str, set[str]] = {}
    for detector in contenders.values():
        for name, attack in detector.attacks.items():
            meanings.setdefault(name, set()).add(attack.title)
    changed = [name for name, found in meanings.items() if len(found) > 1]
    if changed:
        warnings.append(f"Careful: not the same attack in every run: {', '.join(changed)}.")
    counted = {name for one in contenders.values() for name, attack in one.attacks.items() if attack.in_summary}
    if set(shared_attacks(contenders)) != counted:
        warnings.append("Careful: mean, worst and worst case are over different attacks.")
    return warnings


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _page(runs: Sequence[str], tables: Sequence[Table]) -> Page:
    summary, *rest = tables
    sections = [Section(title="Over all attacks", tables=(summary,))]
    if rest:
        sections.append(Section(title="Attack by attack", tables=tuple(rest)))
    return Page(
        title=f"Comparison of {_listed(runs)}",
        lead=_LEAD,
        facts=(),
        summary=(),
        sections=tuple(sections),
        bands=(),
        band_unit="",
        score_groups=(),
        threshold=None,
        roc={},
        sweeps=(),
        examples=(),
        footer="isthmus compare",
    )


def _document(contenders: Mapping[str, DetectorResult], warnings: Sequence[str]) -> dict[str, Any]:
    parts = {"summary", "cost", "clean", "attacks", "adaptive"}
    return {
        "warnings": list(warnings),
        "runs": {name: found.model_dump(include=parts) for name, found in contenders.items()},
    }
