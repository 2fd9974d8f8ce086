"""The images of a Parquet file, read from front to back in memory that does not grow with its row groups."""

import bisect
import itertools
from collections.abc import Iterator
from typing import Any

from service.errors import InputError
from service.offline.items import Item
from service.offline.reading.parquet_layout import image_layout, opened_parquet, parquet_damage_told
from service.offline.reading.places import Place

BATCH_BYTES = 16 * 2**20
BATCH_ROWS = 64
"""At most, and by what a row has on average."""


class ParquetStream:
    """An open Parquet file; its images are asked for in the order of their rows.

    A row group cannot be entered in its middle: what stands before a row in its group is read, too.

    Args:
        place: closed with this.

    Raises:
        InputError: it is damaged, or holds no images.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self._stream = place.stream()
        self._file = opened_parquet(self._stream)
        layout = image_layout(self._file.schema_arrow)
        if layout is None:
            raise InputError("the Parquet file has no column of images any more")
        self._column, self._data = layout.image, layout.data
        metadata = self._file.metadata
        sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        self._starts = [0, *itertools.accumulate(sizes)]
        self._group = -1
        self._rows: Iterator[bytes | None] = iter(())
        self._damage: str | None = None
        self.position = 0
        """The first row that can still be had without going back."""

    def read(self, item: Item) -> bytes:
        """The bytes of an image, whose row is not before `position`.

        Raises:
            InputError: there is none, or the row group is damaged.
            OSError: the disk or the network failed.
        """
        row = item.position
        if not 0 <= row < self._starts[-1]:
            raise InputError(f"the file has {self._starts[-1]} rows")
        group = bisect.bisect_right(self._starts, row) - 1
        if group != self._group:
            self._enter(group)
        if self._damage is not None:
            raise InputError(self._damage)
        try:
            with parquet_damage_told():
                value = next(itertools.islice(self._rows, row - self.position, None))
        except InputError as error:
            self._damage = str(error)
            raise
        self.position = row + 1
        if value is None:
            raise InputError("the image is missing")
        return value

    def close(self) -> None:
        """Let go of the file."""
        self._rows = iter(())
        self._file.close(force=True)
        self._stream.close()
        self.place.close()

    def _enter(self, group: int) -> None:
        self._group, self._damage = group, None
        self.position = self._starts[group]
        self._rows = self._read_group(group)

    def _read_group(self, group: int) -> Iterator[bytes | None]:
        metadata = self._file.metadata.row_group(group)
        n_rows = max(1, min(BATCH_ROWS, BATCH_BYTES * metadata.num_rows // max(1, self._bytes_of(metadata))))
        batches = self._file.iter_batches(
            batch_size=n_rows, row_groups=[group], columns=[self._data], use_threads=False
        )
        for batch in batches:
            for value in batch.column(self._column):
                plain = value.as_py()
                yield plain.get("bytes") if isinstance(plain, dict) else plain

    def _bytes_of(self, metadata: Any) -> int:
        columns = (metadata.column(index) for index in range(metadata.num_columns))
        return sum(column.total_uncompressed_size for column in columns if column.path_in_schema == self._data)
