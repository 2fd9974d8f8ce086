"""Manifests in JSON Lines: an object a line."""

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from service.errors import InputError, one_line
from service.offline.sources.joined import text_of
from service.offline.sources.rows import MOST_COLUMNS, PATH_COLUMNS, Opener, Row, layout_of
from service.offline.sources.source import printable

ROWS_FOR_COLUMNS = 10_000
"""Rows at the beginning whose names become columns; those that come later share one."""

LONGEST_LINE = 2**24


class JsonRows:
    """The lines that are not blank; all values are text, what is no text as JSON.

    A manifest of more than `ROWS_FOR_COLUMNS` rows has a last column `others` with the names that only later rows have.

    Raises:
        InputError: it cannot be opened, or its first rows name no images.
    """

    def __init__(self, opener: Opener, name: str, path_columns: Sequence[str] = PATH_COLUMNS) -> None:
        self._opener = opener
        self._name = name
        names: dict[str, None] = {}
        n_rows = 0
        for _, row in itertools.islice(self._objects(), ROWS_FOR_COLUMNS + 1):
            n_rows += 1
            if n_rows <= ROWS_FOR_COLUMNS and isinstance(row, dict):
                names |= dict.fromkeys(row)
            if len(names) > MOST_COLUMNS:
                break
        if n_rows == 0:
            raise InputError(f"{name} is empty; a JSON object a line was expected")
        self._names = list(names)
        self._layout = layout_of(self._names, name, path_columns)
        self._others = _free_name(self._names) if n_rows > ROWS_FOR_COLUMNS else None
        own = [printable(self._names[number]) for number in self._layout.own]
        self.columns = pa.schema([(name, pa.string()) for name in [*own, *([self._others] if self._others else [])]])

    def __iter__(self) -> Iterator[Row]:
        path = self._names[self._layout.path]
        label = None if self._layout.label is None else self._names[self._layout.label]
        own = [self._names[number] for number in self._layout.own]
        known = frozenset(self._names)
        for line, row in self._objects():
            where = f"line {line}"
            if not isinstance(row, dict):
                yield Row(where=where, columns=(None,) * len(self.columns), broken=f"it is no JSON object ({row})")
                continue
            values = [_printable_text(row.get(name)) for name in own]
            if self._others is not None:
                later = {name: value for name, value in row.items() if name not in known}
                values.append(_printable_text(later or None))
            yield Row(
                where=where,
                path=row[path] if isinstance(row.get(path), str) and row[path] else None,
                label=None if label is None else _printable_text(row.get(label)) or None,
                columns=tuple(values),
            )

    def _objects(self) -> Iterator[tuple[int, dict[str, Any] | str]]:
        """Each line that is not blank: the object, or what is wrong with it."""
        with self._opener() as opened:
            for line in itertools.count(1):
                data = opened.readline(LONGEST_LINE + 1)
                if not data:
                    return
                if len(data) > LONGEST_LINE:
                    raise InputError(f"{self._name}, line {line} is longer than {LONGEST_LINE} bytes; no JSON Lines")
                data = data.removeprefix(b"\xef\xbb\xbf") if line == 1 else data
                if data.strip():
                    yield line, _object(data)


def _object(data: bytes) -> dict[str, Any] | str:
    try:
        row = json.loads(data)
    except (ValueError, RecursionError) as error:
        return one_line(error)
    return row if isinstance(row, dict) else f"but a {type(row).__name__}"


def _printable_text(value: object) -> str | None:
    text = text_of(value)
    return None if text is None else printable(text)


def _free_name(names: list[str]) -> str:
    name = "others"
    while name in names:
        name += "_"
    return name
