import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.errors import InputError
from service.offline.report.lookup import Place, places_of
from service.offline.schema import RESULTS


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "an [audit]*"
    (folder / "results").mkdir(parents=True)
    for shard, paths in enumerate((["a", "b"], ["c", "b", "it's"])):
        rows = [{"path": path, "decision": "clean", "digest": f"{shard}{row}"} for row, path in enumerate(paths)]
        pq.write_table(pa.Table.from_pylist(rows, schema=RESULTS), folder / f"results/{shard:08d}.parquet")
    return folder


def test_a_path_is_found_where_it_stands_first(folder):
    assert places_of(folder, ["it's", "b", "b", "nowhere"]) == {
        "b": Place(shard=0, row=1, digest="01"),
        "it's": Place(shard=1, row=2, digest="12"),
    }


def test_where_nothing_is_asked_for_no_results_are_needed(tmp_path):
    assert places_of(tmp_path, []) == {}
    with pytest.raises(InputError):
        places_of(tmp_path, ["a"])
