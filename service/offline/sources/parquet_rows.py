"""Manifests in Parquet; the columns keep their types."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from service.errors import InputError
from service.offline.reading.parquet_layout import opened_parquet, parquet_damage_told
from service.offline.sources.joined import text_of
from service.offline.sources.rows import PATH_COLUMNS, Opener, Row, layout_of
from service.offline.sources.source import printable

ROWS_AT_ONCE = 1024


class ParquetRows:
    """The rows of a Parquet file, read a piece of a row group at a time.

    Raises:
        InputError: it cannot be opened, is damaged, or has no column of paths.
    """

    def __init__(self, opener: Opener, name: str, path_columns: Sequence[str] = PATH_COLUMNS) -> None:
        self._opener = opener
        self._name = name
        with self._opened() as file:
            schema = file.schema_arrow
        self._schema = pa.schema([(field.name, _plain(field.type)) for field in schema])
        self._layout = layout_of(schema.names, name, path_columns)
        path = self._schema.field(self._layout.path)
        if not (pa.types.is_string(path.type) or pa.types.is_large_string(path.type)):
            raise InputError(f"{name}: the column {path.name!r} is {path.type}; paths as text were expected")
        self.columns = pa.schema([self._schema.field(number) for number in self._layout.own])

    def __iter__(self) -> Iterator[Row]:
        label = self._layout.label
        number = 0
        with self._opened() as file:
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE):
                columns = [column.to_pylist() for column in batch.cast(self._schema, safe=False).columns]
                for values in zip(*columns, strict=True):
                    number += 1
                    yield Row(
                        where=f"row {number}",
                        path=values[self._layout.path] or None,
                        label=None if label is None else _label(values[label]),
                        columns=tuple(values[own] for own in self._layout.own),
                    )

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Any]:
        with self._opener() as opened:
            try:
                with parquet_damage_told():
                    yield opened_parquet(opened)
            except InputError as error:
                raise InputError(f"{self._name}: {error}") from error


def _label(value: object) -> str | None:
    text = text_of(value)
    return None if text is None else printable(text) or None


def _plain(kind: Any) -> Any:
    """The type whose values Python has: no nanoseconds, no dictionaries."""
    if pa.types.is_dictionary(kind):
        return kind.value_type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", kind.tz)
    if pa.types.is_duration(kind) and kind.unit == "ns":
        return pa.duration("us")
    return pa.time64("us") if pa.types.is_time64(kind) and kind.unit == "ns" else kind
