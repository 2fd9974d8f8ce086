import datetime
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.errors import InputError
from service.offline.items import Item
from service.offline.schema import listed_items, listing_table
from service.offline.sources import parquet_rows
from service.offline.sources.manifests import ManifestSource
from service.offline.sources.parquet_rows import ParquetRows


def rows(table, **options) -> ParquetRows:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return ParquetRows(lambda: io.BytesIO(buffer.getvalue()), "images.parquet")


def test_columns_keep_their_types_and_values(monkeypatch) -> None:
    monkeypatch.setattr(parquet_rows, "ROWS_AT_ONCE", 2)
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, 6)
    table = pa.table(
        {
            "label": pa.array([1, None, 3], pa.int8()),
            "path": ["a.png", None, "c.png"],
            "when": pa.array([moment, None, moment], pa.timestamp("ns")),
            "kind": pa.array(["x", "x", None]).dictionary_encode(),
            "box": [[1, 2], [], None],
            "info": [{"a": 1.5}, None, {"a": None}],
        }
    )
    read = rows(table, row_group_size=2)
    assert read.columns.names == ["when", "kind", "box", "info"]
    assert [(row.where, row.path, row.label) for row in read] == [
        ("row 1", "a.png", "1"),
        ("row 2", None, None),
        ("row 3", "c.png", "3"),
    ]
    assert [row.columns for row in read] == [
        (moment, "x", [1, 2], {"a": 1.5}),
        (None, "x", [], None),
        (moment, None, None, {"a": None}),
    ]


def test_what_is_read_can_be_written_as_a_listing_and_read_again() -> None:
    table = pa.table({"file": ["a", "b"], "t": pa.array([1, None], pa.duration("ns")), "d": [b"\xff", None]})
    source = ManifestSource(rows(table), lambda text: Item(path=text), {})
    items = list(source.items(lambda: None))
    assert listed_items(listing_table(items, source.columns)) == items


def test_files_that_name_no_images_are_refused() -> None:
    with pytest.raises(InputError, match="it has 'x'"):
        rows(pa.table({"x": [1]}))
    with pytest.raises(InputError, match="'path' is int64; paths as text"):
        rows(pa.table({"path": [1]}))
    with pytest.raises(InputError, match=r"images\.parquet: it is no intact Parquet file"):
        ParquetRows(lambda: io.BytesIO(b"PAR1 but not really PAR1"), "images.parquet")
