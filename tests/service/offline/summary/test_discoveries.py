from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.offline.folder.names import DISCOVERIES_FILE
from service.offline.schema import RESULTS
from service.offline.summary.discoveries import write_discoveries
from service.offline.summary.summarising import summarise

Results = Callable[..., Path]

COLUMNS = pa.schema([("Camera", pa.string()), ("taken", pa.timestamp("us", "UTC"))])


def written(folder: Path, rate: float = 0.1) -> pa.Table:
    write_discoveries(folder, summarise(folder, false_discovery_rate=rate, n_calibration=99))
    return pq.read_table(folder / DISCOVERIES_FILE)


def test_the_file_has_the_rows_of_the_list_strongest_first_with_all_their_columns(results_of: Results) -> None:
    first = [{"path": f"{number}", "p_value": 0.01, "score": number, "manifest_Camera": "c"} for number in range(3)]
    second = [
        {"path": "b", "p_value": 0.01, "score": 2},
        {"path": "x", "p_value": 0.04},
        {"path": "e", "error": "gone"},
    ]
    clean = [{"path": f"clean {number}"} for number in range(25)]
    table = written(results_of(first, second + clean, columns=COLUMNS))
    assert table.column_names == [
        "rank",
        "q_value",
        "shard",
        "row",
        *RESULTS.names,
        "manifest_Camera",
        "manifest_taken",
    ]
    rows = table.select(["rank", "path", "shard", "row", "manifest_Camera"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        (1, "2", 0, 2, "c"),
        (2, "b", 1, 0, None),
        (3, "1", 0, 1, "c"),
        (4, "0", 0, 0, "c"),
    ]
    # 0.01 · 30 / 4, and 0.04 · 30 / 5 is more than 0.1.
    assert table["q_value"].to_pylist() == pytest.approx([0.075] * 4)
    assert table["profile"].to_pylist()[0] == [0.5, 1.0, 0.0]
    for name in RESULTS.names:
        assert table.schema.field(name).type == RESULTS.field(name).type


def test_copies_are_on_the_list_as_often_as_they_come(results_of: Results) -> None:
    copies = [{"path": f"{number}", "p_value": 0.01, "digest": "d" * 16} for number in range(5)]
    assert written(results_of(copies)).num_rows == 5


def test_an_empty_list_is_a_file_without_rows(results_of: Results) -> None:
    table = written(results_of([{"path": "a"}, {"path": "b", "error": "gone"}], columns=COLUMNS))
    assert (table.num_rows, table.column_names[:2]) == (0, ["rank", "q_value"])


def test_the_same_rows_give_the_same_bytes(results_of: Results) -> None:
    shards = [
        [{"path": f"{shard}/{number}", "p_value": 0.01, "score": number % 7} for number in range(300)]
        for shard in range(3)
    ]
    data = []
    for name in ("one", "two"):
        folder = results_of(*shards, name=name)
        written(folder)
        data.append((folder / DISCOVERIES_FILE).read_bytes())
        assert sorted(path.name for path in folder.iterdir()) == [DISCOVERIES_FILE, "results"]
    assert data[0] == data[1]


def test_columns_that_differ_in_case_alone_or_have_quotes_are_kept(results_of: Results) -> None:
    names = ["Camera", "camera", 'a"b', "row", "rank"]
    columns = pa.schema([(name, pa.string()) for name in names])
    values = {f"manifest_{name}": str(number) for number, name in enumerate(names)}
    table = written(results_of([{"path": "a", "p_value": 0.01, **values}], columns=columns))
    assert list(table.to_pylist()[0].values())[-len(names) :] == ["0", "1", "2", "3", "4"]
