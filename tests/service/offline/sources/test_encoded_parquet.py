import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.errors import InputError
from service.offline.items import Holder, Item
from service.offline.schema import MANIFEST_PREFIX, listing_table
from service.offline.sources.encoded_parquet import ParquetSource
from service.offline.sources.source import ContainerFile


@pytest.fixture
def part(tmp_path: Path) -> Callable[..., ContainerFile]:
    def write(name: str = "a.parquet", metadata: dict[str, Any] | None = None, **columns: Any) -> ContainerFile:
        table = pa.table(columns).replace_schema_metadata(metadata)
        pq.write_table(table, tmp_path / name, row_group_size=2)
        return ContainerFile(name=name, place=str(tmp_path / name))

    return write


def listed(*files: ContainerFile) -> list[Item]:
    return list(ParquetSource(files).items(lambda: None))


def test_rows_are_items_with_their_columns(part) -> None:
    file = part(image=[b"1", b"2", b"3"], label=[1, None, -1], age=[5, 6, None])
    items = listed(file)
    assert [item.path for item in items] == ["a.parquet/000000", "a.parquet/000001", "a.parquet/000002"]
    assert [(item.position, item.given_label, item.columns) for item in items] == [
        (0, "1", (5,)),
        (1, None, (6,)),
        (2, None, (None,)),
    ]
    assert {item.holder for item in items} == {Holder.PARQUET}
    assert {item.stamp for item in items} == {str(Path(file.place).stat().st_mtime_ns)}


def test_labels_have_the_names_that_the_file_gives_them(part) -> None:
    features = {"label": {"_type": "ClassLabel", "names": ["cat", "dog"]}}
    file = part(
        image=[b"1", b"2", b"3"],
        label=[1, 0, 9],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    assert [item.given_label for item in listed(file)] == ["dog", "cat", "9"]


def test_an_image_that_is_null_is_refused_and_its_name_is_carried(part) -> None:
    items = listed(part(image=[{"bytes": b"1", "path": "x.png"}, None]))
    assert [(item.refused, item.columns) for item in items] == [(None, ("x.png",)), ("the image is missing", (None,))]


def test_files_with_other_columns_have_the_columns_of_all(part) -> None:
    files = [part("a.parquet", image=[b"1"], age=[5]), part("b.parquet", image=[b"1"], age=["old"], size=[2.5])]
    assert ParquetSource(files).columns.names == ["age", "size"]
    assert [item.columns for item in listed(*files)] == [("5", None), ("old", 2.5)]


def test_whole_numbers_among_fractions_can_be_written_however_large_they_are(part) -> None:
    files = [part("a.parquet", image=[b"1"], id=[2**60 + 1]), part("b.parquet", image=[b"1"], id=[0.5])]
    table = listing_table(listed(*files), ParquetSource(files).columns)
    assert table[MANIFEST_PREFIX + "id"].to_pylist() == [float(2**60), 0.5]


def test_times_lose_their_nanoseconds_and_categories_become_text(part) -> None:
    file = part(image=[b"1"], at=pa.array([1500], pa.timestamp("ns")), kind=pa.array(["a"]).dictionary_encode())
    [item] = listed(file)
    assert item.columns == (datetime.datetime(1970, 1, 1, microsecond=1), "a")


def test_without_any_other_column_rows_are_only_counted(part) -> None:
    assert len(listed(part(image=[b"1"] * 5))) == 5


def test_a_damaged_file_among_others_is_a_row(part, tmp_path) -> None:
    (tmp_path / "b.parquet").write_bytes(b"PAR1 and nothing else PAR1")
    damaged = ContainerFile(name="b.parquet", place=str(tmp_path / "b.parquet"))
    gone = ContainerFile(name="c.parquet", place=str(tmp_path / "c.parquet"))
    other = part("d.parquet", image=["path.png"])
    items = listed(part(image=[b"1"], age=[5]), damaged, gone, other)
    assert [item.path for item in items] == ["a.parquet/000000", "b.parquet", "c.parquet", "d.parquet"]
    complaints = ["no intact Parquet file", "No such file", "no column of encoded images"]
    for item, complaint in zip(items[1:], complaints, strict=True):
        assert complaint in item.refused
        assert item.columns == (None,)


def test_damage_behind_good_rows_is_a_row_behind_them(part) -> None:
    file = part(image=[b"1"] * 4, age=list(range(1000, 1004)))
    path = Path(file.place)
    data = bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(1).column(1)
    start = column.dictionary_page_offset or column.data_page_offset
    data[start : start + 8] = b"\xff" * 8
    path.write_bytes(bytes(data))
    *rows, last = listed(file)
    assert all(row.refused is None for row in rows)
    assert last.path == "a.parquet"
    assert "no intact Parquet file" in last.refused


@pytest.mark.parametrize("columns", [{"image": ["x.png"]}, {"label": [1]}])
def test_files_without_images_are_refused_with_the_columns_that_they_have(part, columns) -> None:
    with pytest.raises(InputError, match=f"no column of encoded images, but {next(iter(columns))}"):
        ParquetSource([part(**columns)])


def test_columns_that_are_not_carried_are_named(part) -> None:
    source = ParquetSource([part(image=[b"1"], mask=[b"2"])])
    assert source.left_out == ("mask",)
    assert source.description["columns_left_out"] == ["mask"]
