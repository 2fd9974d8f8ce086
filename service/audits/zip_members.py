"""The files of a zip archive."""

import io
import stat
import zipfile
from collections.abc import Generator
from typing import IO

from service.audits.members import MIB, Budget, Counted, Member, damage_explained
from service.errors import InputError, TooLargeError

MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
DIRECTORY_ENTRY = b"PK\x01\x02"
DIRECTORY_BYTES = 512
"""Of the directory at the end, for one member at most on average."""

ENCRYPTED = 0x1 | 0x40
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Others take as much memory as the archive says."""


def is_zip(head: bytes) -> bool:
    """Whether a file begins like a zip archive."""
    return head.startswith(MAGIC)


def zip_members(file: IO[bytes], budget: Budget) -> Generator[Member, None, None]:
    """The regular files of a zip archive, in the order of its directory.

    Raises:
        InputError, TooLargeError: see `service.audits.archives.unpack`.
    """
    guarded = _GuardedFile(file, budget.limits.n_files)
    with damage_explained(), zipfile.ZipFile(guarded) as archive:
        guarded.is_opening = False
        for info in archive.infolist():
            budget.member()
            _check(info)
            if not info.is_dir():
                with archive.open(info) as opened:
                    yield Member(name=info.orig_filename, read=Counted(opened.read, budget))


def _check(info: zipfile.ZipInfo) -> None:
    name = info.orig_filename[:256]
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise InputError(f"{name!r} is a link or a device; only files are taken from an archive")
    if info.flag_bits & ENCRYPTED:
        raise InputError(f"{name!r} is encrypted; send the archive without a password")
    if info.compress_type not in METHODS:
        raise InputError(f"{name!r} is compressed in a way that is not read here; pack it with deflate, as usual")


class _GuardedFile(io.RawIOBase):
    """Keeps `zipfile`, which reads the whole directory when it opens an archive, from reading one of millions."""

    def __init__(self, file: IO[bytes], n_members: int) -> None:
        self._file = file
        self._n_members = n_members
        self.is_opening = True

    def read(self, n_bytes: int = -1) -> bytes:
        if not self.is_opening:
            return self._file.read(n_bytes)
        most = MIB + DIRECTORY_BYTES * self._n_members
        data = self._file.read(min(n_bytes, most + 1) if n_bytes >= 0 else most + 1)
        if len(data) > most or data.count(DIRECTORY_ENTRY) > self._n_members:
            raise TooLargeError(f"the archive holds more than {self._n_members} members; send several")
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True
