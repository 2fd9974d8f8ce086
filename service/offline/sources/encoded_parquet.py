"""Parquet files that hold encoded images, as data set hubs lay them out."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from service.errors import InputError
from service.offline.items import Holder, Item
from service.offline.reading.parquet_layout import (
    PATH_COLUMN,
    ParquetLayout,
    image_layout,
    opened_parquet,
    parquet_damage_told,
)
from service.offline.reading.places import open_place
from service.offline.sources.joined import converter, joined_columns
from service.offline.sources.source import ContainerFile, Skipped

BATCH_ROWS = 1024
"""Listed at once; their images are not read."""

N_AT_ONCE = 8
"""Files whose columns are looked at, before any is listed."""

MISSING = "the image is missing"


class ParquetSource:
    """The rows of Parquet files with a column of encoded images; a file that cannot be listed is a refused row.

    The column `image` holds bytes, or structs of `bytes` and `path`. A column `label` gives the labels, by the names
    that the file has for them. All other columns are carried but those of bytes, which `left_out` names.

    Args:
        location: what to say of where the files are; by default the places of all.

    Raises:
        InputError: no file holds images.
    """

    def __init__(self, files: Sequence[ContainerFile], location: Any = None) -> None:
        self._files = files
        with ThreadPoolExecutor(min(N_AT_ONCE, max(1, len(files)))) as threads:
            layouts = list(threads.map(_layout_or_refusal, files))
        found = [layout for layout in layouts if isinstance(layout, ParquetLayout)]
        if not found:
            reason = next((refusal for refusal in layouts if isinstance(refusal, str)), "there is none")
            name = files[0].name if files else "the source"
            raise InputError(
                f"{name} holds no encoded images: {reason}; give Parquet files with a column image of bytes"
            )
        self.columns = joined_columns([layout.own for layout in found])
        self.left_out = tuple(sorted({name for layout in found for name in layout.left_out}))
        self.skipped = Skipped()
        self.description: dict[str, Any] = {
            "kind": "parquet",
            "location": [file.place for file in files] if location is None else location,
            "columns_left_out": list(self.left_out),
        }

    def items(self, check: Callable[[], None]) -> Iterator[Item]:
        """See `service.offline.sources.source.Source`."""
        for file in self._files:
            check()
            last: str | None = None
            try:
                for item in self._listed(file, check):
                    yield item
                    last = item.path
            except InputError as error:
                behind = f" behind {last}; what follows is not read" if last else ""
                yield _refused(file, self._no_values(), f"{error}{behind}")

    def _listed(self, file: ContainerFile, check: Callable[[], None]) -> Iterator[Item]:
        with contextlib.closing(open_place(file.place)) as place, contextlib.closing(place.stream()) as stream:
            opened = opened_parquet(stream)
            layout = _layout(opened)
            own = {field.name for field in layout.own}
            converters = [(field.name, converter(layout.own, field)) for field in self.columns]
            for row, values in enumerate(_rows(opened, layout, check)):
                yield Item(
                    path=f"{file.name}/{row:06d}",
                    holder=Holder.PARQUET,
                    container=file.place,
                    position=row,
                    stamp=file.stamp or place.stamp,
                    given_label=_label(values, layout),
                    columns=tuple(convert(values[name]) if name in own else None for name, convert in converters),
                    refused=MISSING if layout.name and values[layout.image] is None else None,
                )

    def _no_values(self) -> tuple[None, ...]:
        return (None,) * len(self.columns)


def _layout_or_refusal(file: ContainerFile) -> ParquetLayout | str:
    try:
        with contextlib.closing(open_place(file.place)) as place, contextlib.closing(place.stream()) as stream:
            return _layout(opened_parquet(stream))
    except InputError as error:
        return str(error)


def _layout(opened: Any) -> ParquetLayout:
    layout = image_layout(opened.schema_arrow)
    if layout is None:
        names = ", ".join(opened.schema_arrow.names)[:256] or "no column"
        raise InputError(f"it has no column of encoded images, but {names}")
    return layout


def _rows(opened: Any, layout: ParquetLayout, check: Callable[[], None]) -> Iterator[dict[str, Any]]:
    """What stands in each row but its image."""
    wanted = [name for name in (layout.label, layout.name) if name is not None]
    wanted += [name for name in layout.own.names if name in opened.schema_arrow.names]
    if not wanted:
        for _ in range(opened.metadata.num_rows):
            check()
            yield {}
        return
    with parquet_damage_told():
        for batch in opened.iter_batches(batch_size=BATCH_ROWS, columns=wanted, use_threads=False):
            for values in _plain(batch, layout):
                check()
                if layout.name is not None and PATH_COLUMN not in batch.schema.names:
                    values[PATH_COLUMN] = (values[layout.image] or {}).get("path")
                yield values


def _plain(batch: Any, layout: ParquetLayout) -> list[dict[str, Any]]:
    columns = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if name in layout.own.names:
            columns[name] = column.cast(layout.own.field(name).type, safe=False).to_pylist()
        else:
            columns[name] = column.to_pylist()
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _label(values: dict[str, Any], layout: ParquetLayout) -> str | None:
    """Data sets write −1 where an image has no label."""
    value = values[layout.label] if layout.label else None
    if value is None or value == -1:
        return None
    if layout.label_names and isinstance(value, int) and 0 <= value < len(layout.label_names):
        return layout.label_names[value]
    return str(value)


def _refused(file: ContainerFile, columns: tuple[None, ...], complaint: str) -> Item:
    return Item(
        path=file.name,
        holder=Holder.PARQUET,
        container=file.place,
        stamp=file.stamp,
        columns=columns,
        refused=complaint,
    )
