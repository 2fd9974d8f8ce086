"""Texts in order, however many there are: sorted in runs, which wait on the disk until they are merged."""

import errno
import heapq
import os
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import Self

RUN = 50_000
"""Texts that are sorted in memory; a few MiB of names of files."""

BLOCK = 2**14
"""Bytes of each run that are in memory while they are merged."""

# A line break within a text, on the disk: two bytes that no name of a file and no path holds.
BREAK = b"\0\1"


class SortedRuns:
    """Collects texts, then yields them in order of their bytes; equal ones as often as they came.

    Up to `RUN` of them never touch the disk; the file is nameless, and gone once this is closed.

    Raises:
        OSError: there is no room for temporary files.
    """

    def __init__(self) -> None:
        self._run: list[bytes] = []
        self._file = -1
        self._ends = [0]

    def add(self, text: bytes) -> None:
        """Take one more, in which the bytes 0 and 1 do not follow each other."""
        self._run.append(text)
        if len(self._run) == RUN:
            self._write()

    def __iter__(self) -> Iterator[bytes]:
        self._run.sort()
        runs = [self._read(start, end) for start, end in zip(self._ends, self._ends[1:], strict=False)]
        return heapq.merge(*runs, self._run) if runs else iter(self._run)

    def close(self) -> None:
        """Let go of the texts."""
        self._run = []
        self._ends = [0]
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _write(self) -> None:
        if self._file < 0:
            self._file, path = _temporary_file()
            os.unlink(path)  # noqa: PTH108 (nothing else here is a Path)
        data = b"".join(text.replace(b"\n", BREAK) + b"\n" for text in sorted(self._run))
        with open(self._file, "ab", closefd=False) as file:
            file.write(data)
        self._ends.append(self._ends[-1] + len(data))
        self._run = []

    def _read(self, start: int, end: int) -> Iterator[bytes]:
        rest = b""
        while start < end:
            block = os.pread(self._file, min(BLOCK, end - start), start)
            start += len(block)
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                yield line.replace(BREAK, b"\n")


def _temporary_file() -> tuple[int, str]:
    try:
        return tempfile.mkstemp(prefix="isthmus-")
    except (FileNotFoundError, PermissionError) as error:
        # It must not pass for something that is wrong with the folder whose names are sorted.
        raise OSError(errno.EIO, "no folder for temporary files may be written; name one in TMPDIR") from error
