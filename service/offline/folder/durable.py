"""Files that are whole or absent even if the machine loses its power, and the Parquet that is written into them."""

import errno
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from detector.files import replace_atomically

WITHOUT_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF})
"""What file systems say that keep no order of their folders' entries to be waited for."""


def write_durably(path: Path, content: bytes) -> None:
    """Write a file and wait until it lies on the disk under its name.

    Raises:
        OSError: it cannot be written; names the file, which a full disk does not do by itself.
    """
    try:
        with replace_atomically(path) as temporary, temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(path.parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def parquet_bytes(table: Any) -> bytes:
    """A table as a Parquet file: the same bytes for the same rows, however they were put together.

    Its pages have checksums, so that damage does not pass for data.
    """
    sink = pa.BufferOutputStream()
    whole = table.replace_schema_metadata(None).combine_chunks()
    pq.write_table(whole, sink, compression="zstd", write_page_checksum=True, row_group_size=max(1, len(whole)))
    return bytes(sink.getvalue())


def parquet_table(content: bytes) -> Any:
    """The table in the bytes of a Parquet file; None where they are damaged."""
    try:
        file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        return file.read(use_threads=False)
    except (pa.ArrowException, OSError, ValueError):
        return None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in WITHOUT_SYNC:
            raise
    finally:
        os.close(descriptor)
