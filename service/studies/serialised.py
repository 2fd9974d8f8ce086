"""A study as JSON: the page's sentences and tables, and every number behind them."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from service.studies.page import badge_of
from service.studies.report import StudyReport

STUDY_SCHEMA_VERSION = 1


def as_document(report: StudyReport) -> dict[str, Any]:
    """What `study.json` holds; drawings are left to the page."""
    return {
        "schema_version": STUDY_SCHEMA_VERSION,
        "name": report.name,
        "title": report.title,
        "lead": report.lead,
        "facts": dict(report.facts),
        "findings": [
            {"claim": finding.claim, "measured": finding.measured, "verdict": badge_of(finding)[0]}
            for finding in report.findings
        ],
        "tables": [
            {"title": table.title, "columns": list(table.columns), "rows": plain(table.rows), "note": table.note}
            for table in report.tables
        ],
        "data": plain(report.data),
    }


def plain(value: Any) -> Any:
    """Tensors, arrays and tuples as lists; a number that JSON cannot say as None.

    Raises:
        TypeError: something else than numbers, text and collections of them.
    """
    match value:
        case None | str():
            return value
        case Tensor() | np.ndarray() | np.generic():
            return plain(value.tolist())
        case int() | float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(key): plain(entry) for key, entry in value.items()}
        case list() | tuple():
            return [plain(entry) for entry in value]
        case _:
            raise TypeError(f"a study's data hold a {type(value).__name__}; give numbers, text, lists and mappings")
