import pyarrow as pa
import pytest

from service.offline.items import Item
from service.offline.schema import MANIFEST_PREFIX, listing_table
from service.offline.sources.joined import JoinedSource, joined_columns


class Listed:
    def __init__(self, columns, rows, skipped) -> None:
        self.columns = pa.schema(columns)
        self.description = {"kind": "listed"}
        self.skipped = skipped
        self._rows = rows

    def items(self, check):
        for path, columns in self._rows:
            check()
            yield Item(path=path, columns=columns)


def test_sources_follow_each_other_with_the_columns_of_all() -> None:
    joined = JoinedSource(
        [
            Listed([("a", pa.int32()), ("b", pa.string())], [("1", (7, "x"))], {".txt": 1}),
            Listed([("c", pa.float64()), ("a", pa.int64())], [("2", (0.5, 8)), ("3", (None, None))], {".txt": 2}),
        ],
        {"kind": "both"},
    )
    assert joined.description == {"kind": "both"}
    assert joined.columns == pa.schema([("a", pa.int64()), ("b", pa.string()), ("c", pa.float64())])
    assert [item.columns for item in joined.items(lambda: None)] == [(7, "x", None), (8, None, 0.5), (None, None, None)]
    assert [item.path for item in joined.items(lambda: None)] == ["1", "2", "3"]
    assert joined.skipped == {".txt": 3}


def test_columns_of_one_name_and_two_kinds_become_text() -> None:
    joined = JoinedSource(
        [
            Listed([("a", pa.int32()), ("b", pa.null())], [("1", (7, None))], {}),
            Listed([("a", pa.list_(pa.int32())), ("b", pa.bool_())], [("2", ([1, 2], True))], {}),
        ],
        {},
    )
    assert joined.columns == pa.schema([("a", pa.string()), ("b", pa.bool_())])
    assert [item.columns for item in joined.items(lambda: None)] == [("7", None), ("[1, 2]", True)]


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        ((pa.int64(), 2**60 + 1), (pa.float64(), 0.5), [float(2**60), 0.5]),
        ((pa.uint64(), 2**64 - 1), (pa.int64(), -1), [str(2**64 - 1), "-1"]),
        ((pa.uint64(), None), (pa.float64(), 0.5), [None, 0.5]),
    ],
)
def test_numbers_of_any_size_can_be_written_as_what_they_have_in_common(one, other, common) -> None:
    joined = JoinedSource([Listed([("a", kind)], [("x", (value,))], {}) for kind, value in (one, other)], {})
    table = listing_table(list(joined.items(lambda: None)), joined.columns)
    assert table[MANIFEST_PREFIX + "a"].to_pylist() == common


def test_whole_numbers_and_fractions_have_fractions_in_common() -> None:
    whole, fraction = pa.schema([("a", pa.int32())]), pa.schema([("a", pa.float32())])
    assert joined_columns([whole, fraction]) == joined_columns([fraction, whole]) == pa.schema([("a", pa.float64())])
