"""A selection with all its columns, in the forms in which it leaves; written while it is read, a shard at a time."""

import enum
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from service.viewing.audit_files import AuditFiles


class Form(enum.StrEnum):
    """What a selection can be written as; the suffix of the file."""

    CSV = "csv"
    JSON_LINES = "jsonl"
    PARQUET = "parquet"


MEDIA_TYPES = {
    Form.CSV: "text/csv; charset=utf-8",
    Form.JSON_LINES: "application/x-ndjson",
    Form.PARQUET: "application/vnd.apache.parquet",
}


def written(form: Form, files: AuditFiles, rows: Iterable[tuple[int, list[int]]]) -> Iterator[bytes]:
    """The rows of shards, in pieces. Without any, CSV and Parquet have the columns of the first shard alone.

    Args:
        rows: numbers of shards, and which of their rows.

    Raises:
        InputError: a file of the audit is damaged.
    """
    tables = (files.results(shard).take(pa.array(chosen, pa.int64())) for shard, chosen in rows)
    if form is Form.JSON_LINES:
        return _json_lines(tables)
    return _columns(form, _never_empty(tables, files))


def _never_empty(tables: Iterable[Any], files: AuditFiles) -> Iterator[Any]:
    is_empty = True
    for table in tables:
        is_empty = False
        yield table
    if is_empty and (done := files.done()):
        yield files.results(done[0]).slice(0, 0)


def _columns(form: Form, tables: Iterator[Any]) -> Iterator[bytes]:
    sink = _Sink()
    writer = None
    for table in tables:
        shown = _flat(table) if form is Form.CSV else table
        if writer is None:
            writer = _writer(form, sink, shown.schema)
        writer.write_table(shown)
        yield sink.taken()
    if writer is not None:
        writer.close()
        yield sink.taken()


def _writer(form: Form, sink: "_Sink", schema: Any) -> Any:
    return (
        pyarrow.csv.CSVWriter(sink, schema) if form is Form.CSV else pq.ParquetWriter(sink, schema, compression="zstd")
    )


def _json_lines(tables: Iterable[Any]) -> Iterator[bytes]:
    for table in tables:
        lines = [json.dumps(plain(record), allow_nan=False) + "\n" for record in table.to_pylist()]
        yield "".join(lines).encode("ascii")


def plain(value: Any) -> Any:
    """A value as JSON in UTF-8 can say it: dates and decimals as text, bytes as hexadecimal digits, NaN as null."""
    if isinstance(value, dict):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, bytes):
        return value.hex()
    if value is None or isinstance(value, int):
        return value
    # Names of folders may hold bytes that are no text.
    return str(value).encode(errors="backslashreplace").decode()


def _flat(table: Any) -> Any:
    """Nested columns and bytes as JSON text, which a cell of CSV can hold."""
    for place, field in enumerate(table.schema):
        if pa.types.is_nested(field.type) or pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            texts = [None if value is None else json.dumps(plain(value)) for value in table.column(place).to_pylist()]
            table = table.set_column(place, field.name, pa.array(texts, pa.string()))
    return table


class _Sink(io.RawIOBase):
    """Takes what a writer writes, until it is taken on."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._position = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._buffer += piece
        self._position += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._position

    def taken(self) -> bytes:
        piece = bytes(self._buffer)
        self._buffer.clear()
        return piece
