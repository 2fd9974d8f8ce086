"""Results of audits as shards hold them, made of what tests say of each image."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.offline.schema import results_schema
from service.records import error_record

LABEL_NAMES = ("cat", "dog", "Ship")


def image_row(
    path: str,
    p_value: float | None = 0.5,
    *,
    label: int = 0,
    score: float | None = None,
    profile: Sequence[float] = (0.5, 1.0, 0.0),
    suspected: int = 1,
    error: str | None = None,
    **others: Any,
) -> tuple[str | None, dict[str, Any]]:
    """Digest and row of an image judged at 5 %: undecided without a p-value, unreadable where there is an error."""
    if error is not None:
        return None, {**error_record(path, error), **others}
    is_flagged = p_value is not None and p_value <= 0.05
    row = {
        **error_record(path, ""),
        "decision": "undecided" if p_value is None else "adversarial" if is_flagged else "clean",
        "label": label,
        "label_name": LABEL_NAMES[label],
        "score": None if p_value is None else 1 - p_value if score is None else score,
        "p_value": p_value,
        "false_positive_rate": 0.05,
        "barrier": None if p_value is None else 0.5,
        "prototype": None if p_value is None else 2,
        "suspected_label": suspected if is_flagged else None,
        "suspected_label_name": LABEL_NAMES[suspected] if is_flagged else None,
        "outcome": "non_finite" if p_value is None else "decided",
        "profile": [] if p_value is None else list(profile),
        "error": "not finite" if p_value is None else None,
    }
    return hashlib.sha256(path.encode()).hexdigest()[:16], {**row, **others}


@pytest.fixture
def results_of(tmp_path: Path) -> Callable[..., Path]:
    """A folder with the results of shards, each given as arguments of `image_row`; what else is named is a column."""

    def written(*shards: Sequence[dict[str, Any]], name: str = "summed up", columns: Any = None) -> Path:
        results = tmp_path / name / "results"
        results.mkdir(parents=True)
        schema = results_schema(pa.schema([]) if columns is None else columns)
        for number, images in enumerate(shards):
            rows = [{"digest": digest, **row} for digest, row in (image_row(**image) for image in images)]
            table = pa.Table.from_pylist(rows, schema=schema)
            pq.write_table(table, results / f"{number:08d}.parquet", compression="zstd")
        return results.parent

    return written
