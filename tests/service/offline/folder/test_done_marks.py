"""A shard is done if its files are what the mark says."""

import logging
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.offline.folder.done_marks import counts_of, done_mark, examined_mark, mark_file
from service.offline.folder.listing import Listing
from service.offline.schema import TIMINGS


@pytest.fixture
def audit(auditing: Any, source: Any) -> Path:
    auditing.run(source)
    path: Path = auditing.path
    return path


def test_counts_tell_undecided_images_from_unreadable_ones() -> None:
    rows = pa.table(
        {
            "decision": ["clean", "adversarial", "undecided", "undecided", "clean"],
            "outcome": ["decided", "decided", "not_finite", None, "decided"],
        }
    )
    assert counts_of(rows) == {"n_images": 5, "n_flagged": 2, "n_undecided": 1, "n_errors": 1}
    assert counts_of(rows.slice(3, 1)) == {"n_images": 1, "n_flagged": 0, "n_undecided": 0, "n_errors": 1}


def test_a_whole_shard_is_done(audit: Path) -> None:
    mark = done_mark(audit, 1, Listing(audit).digest(1))
    assert mark is not None
    assert mark.n_images == 32
    assert mark.results_size == (audit / "results" / "00000001.parquet").stat().st_size


def test_a_shard_without_a_mark_is_not_done_and_nothing_is_said(audit: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert done_mark(audit, 3, "") is None
    assert not caplog.records


@pytest.mark.parametrize("name", ["results/00000001.parquet", "timings/00000001.parquet", "done/00000001.json"])
@pytest.mark.parametrize("n_bytes", [0, -5])
def test_a_file_that_was_cut_short_is_taken_away_and_said(
    audit: Path, name: str, n_bytes: int, caplog: pytest.LogCaptureFixture
) -> None:
    file = audit / name
    file.write_bytes(file.read_bytes()[:n_bytes])
    with caplog.at_level(logging.WARNING):
        assert done_mark(audit, 1, Listing(audit).digest(1)) is None
    assert caplog.messages == [f"{name} is damaged; its images are judged again"]
    assert not file.exists()
    assert not mark_file(audit, 1).exists()
    assert done_mark(audit, 0, Listing(audit).digest(0)) is not None


@pytest.mark.parametrize("name", ["results/00000001.parquet", "timings/00000001.parquet"])
def test_a_file_that_is_gone_is_said(audit: Path, name: str) -> None:
    (audit / name).unlink()
    assert examined_mark(audit, 1, Listing(audit).digest(1))[1] == [f"{name} is missing"]


def test_one_flipped_bit_of_the_results_is_found(audit: Path) -> None:
    file = audit / "results" / "00000001.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert examined_mark(audit, 1, Listing(audit).digest(1))[1] == ["results/00000001.parquet is damaged"]


def test_a_mark_of_another_listing_is_said(audit: Path) -> None:
    assert examined_mark(audit, 1, "0" * 64)[1] == ["done/00000001.json is of another listing of shard 1"]


def test_timings_of_another_shard_are_said(audit: Path) -> None:
    pq.write_table(TIMINGS.empty_table(), audit / "timings" / "00000001.parquet")
    [problem] = examined_mark(audit, 1, Listing(audit).digest(1))[1]
    assert problem == "timings/00000001.parquet has 0 rows instead of 32"
