"""Sources one after another, as one."""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from service.offline.items import Item
from service.offline.sources.source import Skipped, Source

_as_json = json.JSONEncoder(ensure_ascii=False, default=str).encode


class JoinedSource:
    """The images of several sources, in their order; it has the columns of all of them.

    Args:
        description: of the whole, instead of those of the sources.
    """

    def __init__(self, sources: Sequence[Source], description: Mapping[str, Any]) -> None:
        self._sources = sources
        self.description = dict(description)
        self.columns = joined_columns([source.columns for source in sources])
        self.skipped = Skipped()

    def items(self, check: Callable[[], None]) -> Iterator[Item]:
        """Those of each source, in columns of the whole."""
        self.skipped = Skipped()
        for source in self._sources:
            if source.columns.equals(self.columns):
                yield from source.items(check)
            else:
                yield from self._widened(source, check)
            for suffix, number in source.skipped.items():
                self.skipped.count(suffix, number)

    def _widened(self, source: Source, check: Callable[[], None]) -> Iterator[Item]:
        converters = [converter(source.columns, field) for field in self.columns]
        for item in source.items(check):
            own = dict(zip(source.columns.names, item.columns, strict=True))
            columns = tuple(
                convert(own.get(name)) for name, convert in zip(self.columns.names, converters, strict=True)
            )
            yield dataclasses.replace(item, columns=columns)


def joined_columns(schemas: Sequence[Any]) -> Any:
    """All columns in the order in which they first come; those of one name and two types become text."""
    types: dict[str, Any] = {}
    for field in (field for schema in schemas for field in schema):
        types[field.name] = _common(types[field.name], field.type) if field.name in types else field.type
    return pa.schema(list(types.items()))


def text_of(value: object) -> str | None:
    """A value as text: a text as it is, anything else as JSON."""
    if value is None or isinstance(value, str):
        return value
    return _as_json(value)


def converter(own: Any, wanted: Any) -> Callable[[object], object]:
    """What makes values of a source's own column into those of a joined one."""
    if wanted.name not in own.names or own.field(wanted.name).type.equals(wanted.type):
        return _unchanged
    if pa.types.is_string(wanted.type):
        return text_of
    return _as_float if pa.types.is_floating(wanted.type) else _unchanged


def _common(one: Any, other: Any) -> Any:
    if one.equals(other) or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    numbers = (pa.types.is_integer, pa.types.is_floating)
    if all(any(is_kind(kind) for is_kind in numbers) for kind in (one, other)):
        is_whole = pa.types.is_integer(one) and pa.types.is_integer(other)
        if not is_whole:
            return pa.float64()
        # No kind of number holds both what is largest in it and what is below zero.
        return pa.string() if pa.types.is_uint64(one) or pa.types.is_uint64(other) else pa.int64()
    return pa.string()


def _as_float(value: Any) -> float | None:
    # Arrow refuses whole numbers that would lose a digit.
    return None if value is None else float(value)


def _unchanged(value: object) -> object:
    return value
