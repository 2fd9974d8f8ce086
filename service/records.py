"""The fields of one answer, by the names they have everywhere: command line, REST, Parquet and export.

The names and their order are a contract. A field that does not apply is null; no number is ever NaN or infinite.
"""

import math
from collections.abc import Sequence
from typing import Any

from detector.verdict import Decision, Verdict

FIELDS = (
    "path",
    "decision",
    "label",
    "label_name",
    "score",
    "p_value",
    "false_positive_rate",
    "barrier",
    "prototype",
    "suspected_label",
    "suspected_label_name",
    "outcome",
    "profile",
    "error",
)

Record = dict[str, Any]


def verdict_record(path: str, verdict: Verdict, labels: Sequence[str]) -> Record:
    """Say a verdict in plain types.

    Args:
        path: what the caller knows the image by.
        verdict: the answer.
        labels: the name of each label.

    Returns:
        `outcome` is the enum's name in lower case. `error` is the reason where the verdict is undecided.
    """
    return {
        "path": path,
        "decision": verdict.decision.value,
        "label": verdict.label,
        "label_name": _name(verdict.label, labels),
        "score": _finite(verdict.score),
        "p_value": _finite(verdict.p_value),
        "false_positive_rate": verdict.false_positive_rate,
        "barrier": _finite(verdict.barrier),
        "prototype": verdict.prototype,
        "suspected_label": verdict.suspected_label,
        "suspected_label_name": _name(verdict.suspected_label, labels),
        "outcome": verdict.outcome.name.lower(),
        "profile": [_finite(value) for value in verdict.profile],
        "error": verdict.outcome.value if verdict.decision is Decision.UNDECIDED else None,
    }


def error_record(path: str, error: str) -> Record:
    """Say that an image could not be judged, and why."""
    return {**dict.fromkeys(FIELDS), "path": path, "decision": Decision.UNDECIDED.value, "error": error}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _name(label: int | None, labels: Sequence[str]) -> str | None:
    return None if label is None else labels[label]
