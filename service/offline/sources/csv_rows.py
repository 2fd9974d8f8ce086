"""Manifests in CSV: a header, commas, UTF-8."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Self, TextIO

import pyarrow as pa

from service.errors import InputError
from service.offline.sources.rows import PATH_COLUMNS, Layout, Opener, Row, layout_of
from service.offline.sources.source import printable

LONGEST_ROW = 2**24
"""Characters."""


class CsvRows:
    """The lines behind the header; all values are text. A path may hold bytes that are no text, as names of files may.

    Raises:
        InputError: it cannot be opened, or has no header with a column of paths.
    """

    def __init__(self, opener: Opener, name: str, path_columns: Sequence[str] = PATH_COLUMNS) -> None:
        self._opener = opener
        self._name = name
        header = next(self._lines(), None)
        if header is None:
            raise InputError(f"{name} is empty; a header and one line for each image were expected")
        self._names = [printable(text.strip()) or f"column_{number}" for number, text in enumerate(header[1], start=1)]
        self._layout: Layout = layout_of(self._names, name, path_columns)
        self.columns = pa.schema([(self._names[number], pa.string()) for number in self._layout.own])

    def __iter__(self) -> Iterator[Row]:
        lines = self._lines()
        next(lines, None)
        for line, values in lines:
            # Blank lines are no rows, as other readers of CSV have it.
            if values:
                yield self._row(f"line {line}", values)

    def _row(self, where: str, values: list[str]) -> Row:
        if len(values) != len(self._names):
            n_wanted = len(self._names)
            return Row(
                where=where,
                columns=(None,) * len(self._layout.own),
                broken=f"it has {len(values)} values, and the header of the manifest {n_wanted}",
            )
        label = None if self._layout.label is None else printable(values[self._layout.label]) or None
        return Row(
            where=where,
            path=values[self._layout.path] or None,
            label=label,
            columns=tuple(printable(values[number]) for number in self._layout.own),
        )

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        with (
            self._opener() as opened,
            io.TextIOWrapper(opened, "utf-8-sig", errors="surrogateescape", newline="") as text,
        ):
            lines = _Lines(text, self._name)
            reader = csv.reader(lines, strict=True)
            try:
                for values in reader:
                    lines.n_left = LONGEST_ROW
                    yield reader.line_num, values
            except csv.Error as error:
                raise InputError(
                    f"{self._name}, line {reader.line_num}: {error}; give a CSV file with commas, and quotes doubled"
                ) from error


class _Lines:
    """The lines of a text; those of one row are not taken into memory without end."""

    def __init__(self, text: TextIO, name: str) -> None:
        self._text, self._name = text, name
        self.n_left = LONGEST_ROW

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self._text.readline(self.n_left + 1)
        self.n_left -= len(line)
        if self.n_left < 0:
            raise InputError(f"{self._name} has a row of more than {LONGEST_ROW} characters; give each image a line")
        if not line:
            raise StopIteration
        return line
