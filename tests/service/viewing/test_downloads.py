import csv
import datetime
import decimal
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.viewing.audit_files import AuditFiles
from service.viewing.downloads import Form, plain, written

HOSTILE = 'a,"b"\n=1+1\u202e<b>\\'


@pytest.fixture
def files(made, row):
    made.shard(0, row(path="0"), row(path=HOSTILE, own=("x\ny", float("nan"))), row(path="2", kind="unreadable"))
    made.shard(1, row(path="3"), row(path="4", own=(None, None)))
    return AuditFiles(made.folder)


CHOSEN = [(0, [1, 2]), (1, [1])]


def test_parquet_holds_the_rows_as_the_audit_has_them(files):
    table = pq.read_table(io.BytesIO(b"".join(written(Form.PARQUET, files, CHOSEN))))
    assert table.schema == files.results(0).schema
    assert table.column("path").to_pylist() == [HOSTILE, "2", "4"]
    assert table.column("profile").to_pylist() == [[0, 2, 1], None, [0, 2, 1]]


def test_json_lines_hold_the_same_in_ascii(files):
    lines = b"".join(written(Form.JSON_LINES, files, CHOSEN)).decode("ascii").splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["path"] for record in records] == [HOSTILE, "2", "4"]
    assert (records[0]["manifest_uploaded_by"], records[0]["manifest_seconds"]) == ("x\ny", None)
    assert records[0]["profile"] == [0, 2, 1]


def test_csv_holds_the_same_with_lists_as_json(files):
    text = b"".join(written(Form.CSV, files, CHOSEN)).decode()
    records = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [record["path"] for record in records] == [HOSTILE, "2", "4"]
    assert json.loads(records[0]["profile"]) == [0, 2, 1]
    assert (records[1]["profile"], records[1]["error"][:17]) == ("", "the file is empty")


def test_an_empty_selection_has_the_columns_and_no_row(files):
    assert pq.read_table(io.BytesIO(b"".join(written(Form.PARQUET, files, [])))).num_rows == 0
    assert b"".join(written(Form.CSV, files, [])).startswith(b'"path","digest"')
    assert b"".join(written(Form.JSON_LINES, files, [])) == b""


def test_a_download_begins_before_all_of_it_is_read(files):
    pieces = written(Form.JSON_LINES, files, iter([(0, [0]), (7, [0])]))
    assert json.loads(next(pieces))["path"] == "0"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("inf"), None),
        (b"\xff\x00", "ff00"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (decimal.Decimal("1.50"), "1.50"),
        ({"a": [1, float("nan"), {"b": True}]}, {"a": [1, None, {"b": True}]}),
        ("\udcff", "\\udcff"),
        (None, None),
    ],
)
def test_what_json_cannot_say_is_said_otherwise(value, expected):
    assert plain(value) == expected


def test_bytes_in_a_column_of_the_source_become_digits_in_csv(made, files):
    place = made.folder / "results" / "00000000.parquet"
    table = pq.read_table(place).append_column("manifest_raw", pa.array([b"\x01", None, b"\xff"]))
    pq.write_table(table, place)
    text = b"".join(written(Form.CSV, files, [(0, [0, 1, 2])])).decode()
    records = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [record["manifest_raw"] for record in records] == ['"01"', "", '"ff"']
