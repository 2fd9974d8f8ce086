import io
import json

import pytest

from service.errors import InputError
from service.offline.sources import json_rows
from service.offline.sources.json_rows import JsonRows


def rows(*lines: object) -> JsonRows:
    data = b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
    return JsonRows(lambda: io.BytesIO(data), "images.jsonl")


def test_each_line_is_an_image_and_what_is_no_text_becomes_json() -> None:
    read = rows(
        {"path": "a.png", "label": 3, "x": "ö", "y": [1, {"z": None}]}, {"y": 2.5, "path": "b.png", "late": True}
    )
    assert read.columns.names == ["x", "y", "late"]
    first, second = read
    assert (first.path, first.label, first.columns) == ("a.png", "3", ("ö", '[1, {"z": null}]', None))
    assert (second.path, second.label, second.columns) == ("b.png", None, (None, "2.5", "true"))


def test_lines_that_are_no_objects_are_told_of_and_the_next_are_read() -> None:
    read = rows(
        b"\xef\xbb\xbf" + b'{"path": "a.png"}', b"{broken", b"", [1], b"\xff", b"[" * 100_000, {"path": "b.png"}
    )
    assert [row.path for row in read] == ["a.png", None, None, None, None, "b.png"]
    assert [row.where for row in read if row.broken] == ["line 2", "line 4", "line 5", "line 6"]


@pytest.mark.parametrize("value", [None, 7, "", ["a.png"]])
def test_a_path_that_is_no_text_names_nothing(value) -> None:
    *_, row = rows({"path": "a.png"}, {"path": value})
    assert row.path is None
    assert row.broken is None


def test_names_that_only_later_rows_have_share_a_column(monkeypatch) -> None:
    monkeypatch.setattr(json_rows, "ROWS_FOR_COLUMNS", 2)
    read = rows({"path": "a", "others": 1}, {"path": "b"}, {"path": "c", "new": [1], "newer": "x"})
    assert read.columns.names == ["others", "others_"]
    assert [row.columns for row in read] == [("1", None), (None, None), (None, '{"new": [1], "newer": "x"}')]


def test_surrogates_that_stand_for_nothing_become_escapes() -> None:
    [row] = rows(b'{"path": "a.png", "x": "\\ud800"}')
    assert row.columns == ("\\ud800",)


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([], "is empty"),
        ([{"name": "a"}], "it has 'name'"),
        ([b"no json"], "it has none"),
        ([{"path": "a"}, {str(number): 0 for number in range(1000)}], "has 1001 columns"),
    ],
)
def test_what_is_no_manifest_is_refused(lines, complaint) -> None:
    with pytest.raises(InputError, match=complaint):
        rows(*lines)


def test_names_without_end_are_not_collected() -> None:
    lines = [{"path": "a", **{f"{line}-{number}": 0 for number in range(400)}} for line in range(10)]
    with pytest.raises(InputError, match="has 1201 columns"):
        rows(*lines)


def test_a_line_without_end_is_not_taken_into_memory(monkeypatch) -> None:
    monkeypatch.setattr(json_rows, "LONGEST_LINE", 100)
    with pytest.raises(InputError, match="longer than 100 bytes"):
        rows({"path": "a" * 200})
