import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.errors import InputError
from service.offline.items import Holder, Item
from service.offline.reading.parquet_stream import ParquetStream
from service.offline.reading.places import LocalPlace

N_ROWS, IMAGE_BYTES = 2000, 20_000


@pytest.fixture
def pool() -> Iterator[pa.MemoryPool]:
    usual = pa.default_memory_pool()
    counted = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(counted)
    yield counted
    pa.set_memory_pool(usual)


def at(row: int) -> Item:
    return Item(path=str(row), holder=Holder.PARQUET, position=row)


def written(path: Path, images: list[bytes | None], rows: int) -> ParquetStream:
    pq.write_table(
        pa.table({"image": pa.array(images, pa.binary())}),
        path,
        row_group_size=rows,
        use_dictionary=False,
        compression="none",
        data_page_size=2**16,
        write_batch_size=8,
    )
    return ParquetStream(LocalPlace(str(path)))


def test_the_memory_of_reading_does_not_grow_with_a_row_group(tmp_path, pool) -> None:
    stream = written(tmp_path / "a.parquet", [b"%08d" % row + bytes(IMAGE_BYTES) for row in range(N_ROWS)], N_ROWS)
    after_writing = pool.bytes_allocated()
    peak = 0
    # What Python's own file reads is no memory of Arrow's.
    tracemalloc.start()
    for row in range(N_ROWS):
        assert stream.read(at(row)).startswith(b"%08d" % row)
        peak = max(peak, pool.bytes_allocated())
    peak += tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    stream.close()
    assert peak - after_writing < N_ROWS * IMAGE_BYTES / 8


def test_rows_may_be_left_out_and_row_groups_entered_anew(tmp_path) -> None:
    stream = written(tmp_path / "a.parquet", [b"%d" % row for row in range(10)], 3)
    for row in (1, 2, 7, 9, 3, 5):
        assert stream.read(at(row)) == b"%d" % row
        assert stream.position == row + 1
    for row in (-1, 10):
        with pytest.raises(InputError, match="10 rows"):
            stream.read(at(row))
    stream.close()


def test_a_file_that_lost_its_images_is_refused(tmp_path) -> None:
    pq.write_table(pa.table({"other": [1]}), tmp_path / "a.parquet")
    place = LocalPlace(str(tmp_path / "a.parquet"))
    with pytest.raises(InputError, match="no column of images"):
        ParquetStream(place)
    place.close()
