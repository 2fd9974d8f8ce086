"""Reads what evaluations left in their folders, as far as runs are compared by it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from detector.evaluation.run_settings import DEFAULT_RUNTIME, RUN_FILE
from detector.evaluation.serialised import RESULTS_SCHEMA_VERSION
from service.console import printable
from service.errors import InputError
from service.evaluation_report import RESULTS_FILE


class _Part(BaseModel):
    """A part of `results.json`; `detector.evaluation.serialised` says what each field is."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class AttackResult(_Part):
    title: str
    n: int
    in_summary: bool
    auroc: float | None
    tpr: Mapping[str, float | None]


class AdaptiveResult(_Part):
    title: str
    evaded: Mapping[str, float | None]


class NaturalResult(_Part):
    flagged: Mapping[str, float | None]


class WorstCaseResult(_Part):
    auroc: float
    tpr: Mapping[str, float]


class SummaryResult(_Part):
    mean_auroc: float | None
    worst_auroc: float | None
    mean_tpr: Mapping[str, float | None]
    worst_case: WorstCaseResult | None


class CostResult(_Part):
    forward_equivalents: float
    images_per_second: float


class DetectorResult(_Part):
    attacks: Mapping[str, AttackResult]
    adaptive: Mapping[str, AdaptiveResult]
    clean: NaturalResult
    summary: SummaryResult
    cost: CostResult


class RunSettingsResult(_Part):
    classifier: str
    images: str
    limit: int
    seed: int
    runtime: str = DEFAULT_RUNTIME


class RunResults(DetectorResult):
    """What one `results.json` holds; the fields of a detector are those of the first bundle."""

    bundle: str
    run: RunSettingsResult
    others: Mapping[str, DetectorResult]

    @property
    def detectors(self) -> dict[str, DetectorResult]:
        """Each bundle's results, by its name."""
        return {self.bundle: self, **self.others}


def read_runs(folders: Sequence[Path]) -> dict[str, RunResults]:
    """The results of some runs, by the names of their folders, or by their paths where two have one name.

    Raises:
        InputError: a folder is no run's, or its run is not finished, of another version or damaged.
    """
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    if len(set(names)) < len(names):
        raise InputError(f"a run is named twice among {', '.join(map(printable, names))}; name each run once")
    return {name: _read(folder) for name, folder in zip(names, folders, strict=True)}


def _read(folder: Path) -> RunResults:
    path = folder / RESULTS_FILE
    shown = printable(folder)
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise InputError(f"{shown} {what}; name folders that isthmus evaluate --out wrote")
    if not path.exists() and (folder / RUN_FILE).exists():
        raise InputError(
            f"the run in {shown} is not finished: it has no {RESULTS_FILE} yet; give the same isthmus evaluate "
            f"--out {shown} again, which goes on where it stopped"
        )
    if not path.exists():
        raise InputError(f"{shown} has no {RESULTS_FILE}; name folders that isthmus evaluate --out wrote")
    document = _json(path)
    version = document.get("schema_version")
    if version != RESULTS_SCHEMA_VERSION:
        raise InputError(
            f"{printable(path)} has schema {printable(str(version))}, and schema {RESULTS_SCHEMA_VERSION} is compared; "
            "evaluate again with this version"
        )
    try:
        return RunResults.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{printable(path)} is damaged at {printable(field)} ({first['msg']}); evaluate again"
        ) from error


def _json(path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except ValueError as error:
        raise InputError(f"{printable(path)} is not JSON ({error}); evaluate again") from error
    if not isinstance(document, dict):
        raise InputError(f"{printable(path)} holds no results; evaluate again")
    return document
