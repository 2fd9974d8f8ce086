"""Walks over the headers of a tar archive, compressed or not, without holding more than one."""

import bz2
import contextlib
import dataclasses
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable, Iterator
from typing import IO, Any, cast

from service.audits.members import DAMAGE
from service.audits.tar_members import END_MARK, HEADER_BYTES
from service.errors import InputError, one_line

PIECE = 2**20

LARGEST_MEMBER = 2**43
"""Bytes; file systems cannot look for what lies further on, and a listing holds no number without end."""

DAMAGES = (*DAMAGE, lzma.LZMAError)

_OPENERS: tuple[tuple[bytes, Callable[[Any], Any]], ...] = (
    (b"\x1f\x8b", lambda stream: gzip.GzipFile(fileobj=stream)),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\0", lzma.LZMAFile),
)
_ZSTANDARD = b"\x28\xb5\x2f\xfd"


class DamagedError(InputError):
    """An archive is not what it should be; what stands behind the damage cannot be had."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TarMember:
    """One member.

    Attributes:
        number: from 0, of all members.
        name: as it stands there; bytes that are no text as `os.fsdecode` writes them.
        offset: where its bytes begin in the archive, unpacked.
        size: in bytes.
        is_file: a regular one, all of it at `offset`; neither a folder, nor a link, nor a device, nor sparse.
    """

    number: int
    name: str
    offset: int
    size: int
    is_file: bool
    is_folder: bool


class TarWalk:
    """The members of an archive from front to back, each once.

    Args:
        stream: at its beginning; it is not closed.
        is_seekable: whether what is not wanted need not be read; compressed archives have no such choice.
        check: called often; what it raises ends the walk.
    """

    def __init__(self, stream: IO[bytes], check: Callable[[], None], *, is_seekable: bool) -> None:
        head = _Head(stream)
        opener = _opener_of(head.first)
        self.is_compressed = opener is not None
        unpacked = opener(head) if opener else head
        self._tape = _Tape(cast(IO[bytes], unpacked), check, stream if is_seekable and not opener else None)

    def __iter__(self) -> Iterator[TarMember]:
        """Walk.

        Raises:
            DamagedError: the archive is damaged, cut off, or goes on behind its end.
        """
        with damage_told():
            archive = tarfile.TarFile(fileobj=cast(IO[bytes], self._tape), mode="r")
            number = 0
            while (info := _next(archive, self._tape)) is not None:
                yield _member(info, number)
                number += 1
            self._tape.finish()

    def read(self, n_bytes: int) -> bytes:
        """The first bytes of the member that came last, or fewer, where the archive ends; once a member.

        Raises:
            DamagedError: the archive is damaged.
        """
        with damage_told():
            return self._tape.take(n_bytes)


@contextlib.contextmanager
def damage_told() -> Iterator[None]:
    """Say of an archive that is not what it should be that it is damaged.

    Raises:
        DamagedError: it is.
    """
    try:
        yield
    except InputError:
        raise
    except (*DAMAGES, EOFError) as error:
        raise DamagedError(one_line(error)) from error
    except OSError as error:
        # Those of a disk have a number; those of gzip and bz2 have none.
        if error.errno is not None:
            raise
        raise DamagedError(one_line(error)) from error


def _next(archive: tarfile.TarFile, tape: "_Tape") -> tarfile.TarInfo | None:
    tape.may_read = HEADER_BYTES
    info = archive.next()
    # They would add up in memory.
    cast(Any, archive).members.clear()
    if sum(len(name) + len(value) for name, value in archive.pax_headers.items()) > HEADER_BYTES:
        raise tarfile.ReadError(f"the headers of all members take more than {HEADER_BYTES} bytes")
    return info


def _member(info: tarfile.TarInfo, number: int) -> TarMember:
    if not 0 <= info.size <= LARGEST_MEMBER:
        raise tarfile.ReadError(f"a member says that it has {info.size} bytes")
    return TarMember(
        number=number,
        name=info.name,
        offset=info.offset_data,
        size=info.size,
        is_file=info.isreg() and not info.issparse(),
        is_folder=info.isdir(),
    )


def _opener_of(head: bytes) -> Callable[[Any], Any] | None:
    if head.startswith(_ZSTANDARD):
        raise DamagedError("it is compressed with zstd, which is not read here; unpack it")
    return next((opener for mark, opener in _OPENERS if head.startswith(mark)), None)


class _Head:
    """A stream that gives its first bytes a second time; whether it can go back or not."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.first = stream.read(6)
        self._kept = self.first

    def read(self, n_bytes: int = -1) -> bytes:
        if not self._kept:
            return self._stream.read(n_bytes)
        given, self._kept = (self._kept[:n_bytes], self._kept[n_bytes:]) if n_bytes >= 0 else (self._kept, b"")
        return given

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def writable(self) -> bool:
        return False

    @property
    def closed(self) -> bool:
        return False


class _Tape:
    """Goes forward only, and refuses to read more than `may_read` at once for headers.

    `tarfile` reads headers into memory as large as they say they are, and follows sizes that lead back.
    """

    def __init__(self, stream: IO[bytes], check: Callable[[], None], seekable: IO[bytes] | None) -> None:
        self._stream, self._check, self._seekable = stream, check, seekable
        self._position = 0
        self._last = b""
        self.may_read = HEADER_BYTES

    def tell(self) -> int:
        return self._position

    def read(self, n_bytes: int) -> bytes:
        self._check()
        self.may_read -= n_bytes
        if self.may_read < 0 or n_bytes < 0:
            raise tarfile.ReadError(f"the headers of one member take more than {HEADER_BYTES} bytes")
        self._last = self.take(n_bytes)
        return self._last

    def seek(self, position: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET or position < self._position:
            raise tarfile.ReadError("a member begins before the last one ends")
        if self._seekable is not None:
            self._position = self._seekable.seek(position)
        while self._position < position:
            self._check()
            if not self.take(min(position - self._position, PIECE)):
                raise tarfile.ReadError("unexpected end of data")
        return self._position

    def take(self, n_bytes: int) -> bytes:
        """Read on, as far as there is anything."""
        pieces = []
        while n_bytes and (piece := self._stream.read(n_bytes)):
            pieces.append(piece)
            n_bytes -= len(piece)
            self._position += len(piece)
        return b"".join(pieces)

    def finish(self) -> None:
        """Look whether the last thing read was the mark of the end, and that nothing but zeros follows it."""
        if self._last != END_MARK:
            raise tarfile.ReadError("the mark of its end is missing")
        while piece := self.take(PIECE):
            self._check()
            if piece.count(0) != len(piece):
                raise tarfile.ReadError("there is more behind its end, perhaps another archive")
