"""The files of a tar archive, compressed with gzip or not, read once from front to back."""

import contextlib
import gzip
import io
import tarfile
from collections.abc import Generator
from typing import IO, Any, cast

from service.audits.members import BLOCK, MIB, Budget, Member, damage_explained
from service.errors import InputError, TooLargeError

GZIP = b"\x1f\x8b"
USTAR, USTAR_OFFSET = b"ustar", 257
END_MARK = bytes(tarfile.BLOCKSIZE)

HEADER_BYTES = MIB
"""Of one member's headers. `tarfile` reads them into memory as large as they say they are."""

EVERYTHING = 2**63


def is_tar(head: bytes) -> bool:
    """Whether a file begins like a tar archive, or like gzip."""
    return head.startswith(GZIP) or head[USTAR_OFFSET:].startswith(USTAR)


def tar_members(file: IO[bytes], budget: Budget) -> Generator[Member, None, None]:
    """The regular files of a tar archive, in its order; it must end with its mark, and gzip's checksum must be right.

    Raises:
        InputError, TooLargeError: see `service.audits.archives.unpack`.
    """
    with damage_explained(), contextlib.ExitStack() as opened:
        is_compressed = file.read(len(GZIP)) == GZIP
        file.seek(0)
        stream = opened.enter_context(gzip.GzipFile(fileobj=file)) if is_compressed else file
        source = _ForwardReader(cast(IO[bytes], stream), budget)
        source.may_read = HEADER_BYTES
        archive = opened.enter_context(tarfile.TarFile(fileobj=cast(IO[bytes], source), mode="r"))
        while (info := archive.next()) is not None:
            # They would add up in memory.
            cast(Any, archive).members.clear()
            budget.member()
            _check(info)
            if not info.isdir():
                yield Member(name=info.name, read=_MemberReader(archive, info, source))
            source.may_read = HEADER_BYTES
        source.finish()


def _check(info: tarfile.TarInfo) -> None:
    if info.issparse() or not (info.isfile() or info.isdir()):
        raise InputError(f"{info.name[:256]!r} is a link or a device; only files are taken from an archive")


class _MemberReader:
    def __init__(self, archive: tarfile.TarFile, info: tarfile.TarInfo, source: "_ForwardReader") -> None:
        self._archive, self._info, self._source = archive, info, source
        self._opened: IO[bytes] | None = None

    def __call__(self, n_bytes: int) -> bytes:
        with damage_explained():
            self._source.may_read = EVERYTHING
            self._opened = self._opened or self._archive.extractfile(self._info)
            return self._opened.read(n_bytes) if self._opened else b""


class _ForwardReader:
    """A stream that goes forward only, counts every byte and refuses to read more than `may_read` at once.

    `tarfile` moves over what it does not read, which of a compressed archive is no less work than reading it.
    """

    def __init__(self, stream: IO[bytes], budget: Budget) -> None:
        self._stream, self._budget = stream, budget
        self._position = 0
        self._last = b""
        self.may_read = 0

    def tell(self) -> int:
        return self._position

    def read(self, n_bytes: int) -> bytes:
        self.may_read -= n_bytes
        if self.may_read < 0 or n_bytes < 0:
            raise TooLargeError(f"the headers of one member take more than {HEADER_BYTES} bytes; use shorter names")
        self._last = self._take(n_bytes)
        return self._last

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET or position < self._position:
            raise tarfile.ReadError("a member begins before the last one ends")
        while self._position < position:
            if not self._take(min(position - self._position, 16 * BLOCK)):
                raise tarfile.ReadError("unexpected end of data")
        return self._position

    def finish(self) -> None:
        """Look whether the last thing read was the mark of the end, and read what gzip has behind it."""
        if self._last != END_MARK:
            raise tarfile.ReadError("the mark of its end is missing")
        while self._take(16 * BLOCK):
            pass

    def _take(self, n_bytes: int) -> bytes:
        data = self._stream.read(n_bytes)
        self._position += len(data)
        self._budget.take(len(data))
        return data
