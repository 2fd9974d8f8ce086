import io

import pytest

from service.errors import InputError
from service.offline.sources import csv_rows
from service.offline.sources.csv_rows import CsvRows


def rows(text: str | bytes) -> CsvRows:
    data = text if isinstance(text, bytes) else text.encode()
    return CsvRows(lambda: io.BytesIO(data), "images.csv")


def test_each_line_is_an_image_with_its_label_and_the_other_columns() -> None:
    read = rows('id,path,label,note\n1,a.png,cat,"x, ""y"""\n2,b/c.png,,\n')
    assert read.columns.names == ["id", "note"]
    first, second = read
    assert (first.path, first.label, first.columns) == ("a.png", "cat", ("1", 'x, "y"'))
    assert (second.path, second.label, second.columns) == ("b/c.png", None, ("2", ""))
    assert [row.where for row in read] == ["line 2", "line 3"]


@pytest.mark.parametrize("header", ["path", "file_name", "file", "image_path"])
def test_images_are_named_by_any_of_four_columns(header) -> None:
    [row] = rows(f"{header},x\na.png,1\n")
    assert (row.path, row.columns) == ("a.png", ("1",))


def test_of_two_columns_that_could_name_images_the_first_of_the_list_does_and_the_other_is_carried() -> None:
    data = b"file_name,path\nx.png,y.png\n"
    assert [row.path for row in rows(data)] == ["y.png"]
    [row] = CsvRows(lambda: io.BytesIO(data), "metadata.csv", ("file_name", "path"))
    assert (row.path, row.columns) == ("x.png", ("y.png",))


def test_marks_of_spreadsheets_and_blank_lines_are_no_rows() -> None:
    read = rows(b"\xef\xbb\xbf,path\r\n0,a.png\r\n\r\n1,b.png\r\n")
    assert read.columns.names == ["column_1"]
    assert [row.path for row in read] == ["a.png", "b.png"]


def test_a_line_of_another_length_is_told_of_and_the_next_is_read() -> None:
    short, good = rows("path,x\na.png\nb.png,1\n")
    assert (short.path, short.columns, good.path) == (None, (None,), "b.png")
    assert "1 values, and the header of the manifest 2" in (short.broken or "")


def test_bytes_that_are_no_text_remain_in_paths_and_are_escapes_elsewhere() -> None:
    [row] = rows(b"path,x\n\xff.png,\xfe\n")
    assert (row.path, row.columns) == ("\udcff.png", ("\\xfe",))


@pytest.mark.parametrize("row", ["x" * 200, '"x\n",' * 50])
def test_a_row_without_end_is_not_taken_into_memory(monkeypatch, row) -> None:
    monkeypatch.setattr(csv_rows, "LONGEST_ROW", 100)
    text = "path\n" + "a.png\n" * 50
    assert len(list(rows(text))) == 50
    with pytest.raises(InputError, match="more than 100 characters"):
        list(rows(text + row))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is empty"),
        ("a;path\n", "no column path or file_name or file or image_path that names the images; it has 'a;path'"),
        ("path,a,a\n", "two columns 'a'"),
        ('path\n"a.png\n', r"line \d: unexpected end of data"),
    ],
)
def test_what_is_no_manifest_is_refused(text, complaint) -> None:
    with pytest.raises(InputError, match=complaint):
        list(rows(text))
