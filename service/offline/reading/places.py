"""Files that hold many images, opened where they are."""

import os
import stat
from typing import IO, Protocol

from service.audits.sources import FILE_FLAGS, OF_THE_FILE
from service.errors import InputError


class Place(Protocol):
    """An open file, local or remote.

    Attributes:
        size: in bytes; None where a server does not say.
        stamp: of when it was opened; as `Item.stamp`.
        is_seekable: whether parts of it can be had; else it is read from its beginning only.
    """

    size: int | None
    stamp: str
    is_seekable: bool

    def stream(self) -> IO[bytes]:
        """All of it, from its beginning; a stream at a time."""
        ...

    def read_at(self, position: int, n_bytes: int) -> bytes:
        """A part of it; fewer bytes where it ends. Safe from any thread."""
        ...

    def has_changed(self) -> bool:
        """Whether it is not any more what it was when it was opened.

        Raises:
            InputError: it has gone, or may not be read any more.
            OSError: the disk or the network failed.
        """
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class LocalPlace:
    """A regular file of this machine.

    Raises:
        InputError: it is none, has gone, or may not be read.
        OSError: the disk failed.
    """

    is_seekable = True

    def __init__(self, path: str) -> None:
        try:
            self._descriptor = os.open(path, FILE_FLAGS)
        except OSError as error:
            if error.errno not in OF_THE_FILE:
                raise
            raise InputError(f"the file cannot be read ({error.strerror})") from error
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(self._descriptor)
            raise InputError("not a regular file")
        self.size: int | None = status.st_size
        self.stamp = str(status.st_mtime_ns)

    def stream(self) -> IO[bytes]:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return open(self._descriptor, "rb", closefd=False)

    def read_at(self, position: int, n_bytes: int) -> bytes:
        pieces = []
        # One call reads no more than 2 GiB, and a signal may end it early.
        while n_bytes and (piece := os.pread(self._descriptor, n_bytes, position)):
            pieces.append(piece)
            n_bytes -= len(piece)
            position += len(piece)
        return b"".join(pieces)

    def has_changed(self) -> bool:
        status = os.fstat(self._descriptor)
        return str(status.st_mtime_ns) != self.stamp or status.st_size != self.size

    def close(self) -> None:
        os.close(self._descriptor)


def open_place(place: str) -> Place:
    """Open a file by its absolute path or its URL.

    Raises:
        InputError: it cannot be had.
        OSError: the disk or the network failed.
    """
    if place.startswith("/"):
        return LocalPlace(place)
    from service.offline.reading.remote_places import RemotePlace  # noqa: PLC0415 (local audits need no fsspec)

    return RemotePlace(place)
