"""What zip and tar have in common: members one after the other, and a budget that they share."""

import contextlib
import dataclasses
import gzip
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator

from service.errors import InputError, TooLargeError, one_line

BLOCK = 4096
MIB = 2**20

DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    ArithmeticError,
    LookupError,
    NotImplementedError,
    RecursionError,
)
"""What the readers of the standard library raise where an archive is not what it should be."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArchiveLimits:
    """What is refused before it costs memory or disk.

    Attributes:
        n_files: members of an archive.
        n_bytes: of all members together, unpacked.
        file_bytes: of one file; more is not written.
        ratio: unpacked bytes to packed ones. Deflate reaches 1032; images that are compressed already stay at 1.
        free_bytes: what may be unpacked however small the archive is.
    """

    n_files: int
    n_bytes: int
    file_bytes: int
    ratio: int = 200
    free_bytes: int = 16 * MIB


@dataclasses.dataclass(frozen=True, kw_only=True)
class Member:
    """A regular file of an archive; `read` gives at most so many of its next bytes, and none at its end."""

    name: str
    read: Callable[[int], bytes]


class Budget:
    """What may still be unpacked of one archive.

    Args:
        check: asked again and again; what it raises ends the work.
    """

    def __init__(self, limits: ArchiveLimits, archive_bytes: int, check: Callable[[], None]) -> None:
        self.limits = limits
        self._check = check
        self._most_by_ratio = max(limits.free_bytes, limits.ratio * archive_bytes)
        self._n_bytes = 0
        self._n_members = 0

    def take(self, n_bytes: int) -> None:
        """Count bytes that were unpacked.

        Raises:
            TooLargeError: they are too many.
        """
        self._check()
        self._n_bytes += n_bytes
        if self._n_bytes > self.limits.n_bytes:
            raise TooLargeError(f"the archive unpacks to more than {self.limits.n_bytes} bytes; send several")
        if self._n_bytes > self._most_by_ratio:
            raise TooLargeError(
                f"the archive unpacks to more than {self.limits.ratio} times its size, as no archive of images does; "
                "send it less compressed"
            )

    def member(self) -> None:
        """Count a member.

        Raises:
            TooLargeError: they are too many.
        """
        self._n_members += 1
        if self._n_members > self.limits.n_files:
            raise TooLargeError(f"the archive holds more than {self.limits.n_files} members; send several")


class Counted:
    """Reads a member and counts what it gives."""

    def __init__(self, read: Callable[[int], bytes], budget: Budget) -> None:
        self._read, self._budget = read, budget

    def __call__(self, n_bytes: int) -> bytes:
        with damage_explained():
            data = self._read(n_bytes)
        self._budget.take(len(data))
        return data


@contextlib.contextmanager
def damage_explained() -> Iterator[None]:
    """Say of an archive that is not what it should be that it is damaged.

    Raises:
        InputError: it is.
    """
    try:
        yield
    except InputError:
        raise
    except DAMAGE as error:
        raise InputError(f"the archive is damaged or cut off ({one_line(error)}); pack and send it again") from error
