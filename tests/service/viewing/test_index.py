from pathlib import Path

import duckdb
import pytest

from service.viewing.audit_files import AuditFiles
from service.viewing.index import ResultIndex


@pytest.fixture
def index(made):
    opened = ResultIndex(AuditFiles(made.folder))
    yield opened
    opened.close()


def load(index):
    return sum(index.load())


def paths(index):
    return [path for (path,) in index.fetch("SELECT path FROM image ORDER BY shard, row")]


def test_the_index_takes_in_what_the_audit_has_written_since(index, made, row):
    assert (load(index), index.n_shards) == (0, 0)
    made.shard(0, row(path="a"), row(path="b"))
    assert (load(index), load(index), index.n_shards) == (2, 0, 1)
    made.shard(2, row(path="c"))
    assert (load(index), paths(index)) == (1, ["a", "b", "c"])


def test_a_shard_without_its_done_mark_is_not_shown(index, made, row):
    made.shard(0, row(path="a"), is_done=False)
    assert (load(index), paths(index)) == (0, [])


def test_a_damaged_shard_is_told_of_and_the_others_are_there(index, made, row):
    for number in range(3):
        made.shard(number, row(path=str(number)))
    (made.folder / "results" / "00000001.parquet").write_bytes(b"PAR1 nonsense PAR1")
    assert (load(index), paths(index)) == (2, ["0", "2"])
    assert (index.damaged, index.n_shards) == ((1,), 2)
    made.shard(1, row(path="again"))
    assert (load(index), paths(index), index.damaged) == (1, ["0", "again", "2"], ())


def test_more_shards_than_are_taken_at_once_are_all_taken(index, made, row, monkeypatch):
    monkeypatch.setattr("service.viewing.index.SHARDS_AT_ONCE", 2)
    for number in range(5):
        made.shard(number, row(path=str(number)))
    assert list(index.load()) == [2, 2, 1]
    assert paths(index) == ["0", "1", "2", "3", "4"]


def test_queries_reach_nothing_but_the_index(index, made):
    secret = made.folder / "audit.json"
    for sql in (f"SELECT * FROM read_text('{secret}')", f"ATTACH '{secret}'", "SET enable_external_access = true"):
        with pytest.raises(duckdb.Error):
            index.fetch(sql)


def test_nothing_is_left_when_the_index_is_closed(made, row):
    made.shard(0, row(path="a"))
    index = ResultIndex(AuditFiles(made.folder))
    folder = Path(index._folder.name)
    load(index)
    assert folder.exists()
    index.close()
    assert not folder.exists()
