"""Archives of images that somebody sent: unpacked under numbers, and never more than the limits say.

No name of an archive becomes a path. An archive that holds what an archive of images has no reason to hold (a way out,
a link, a device, a name twice, an archive) is refused as a whole, and so is one that is damaged or cut off.
"""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Generator
from pathlib import Path, PurePosixPath
from typing import IO

from service.audits.file_store import AuditFile
from service.audits.members import BLOCK, ArchiveLimits, Budget, Member
from service.audits.sources import is_image_name
from service.audits.tar_members import is_tar, tar_members
from service.audits.zip_members import is_zip, zip_members
from service.errors import InputError, UnsupportedMediaError

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar")
LONGEST_NAME = 1024

Reader = Callable[[IO[bytes], Budget], Generator[Member, None, None]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unpacked:
    """What an archive held.

    Attributes:
        files: its images in the order of the archive; `place` is a number in the folder.
        n_skipped: members that are no images by their names.
    """

    files: list[AuditFile]
    n_skipped: int


def reader_of(archive: Path) -> Reader:
    """Which kind of archive a file is, by its first bytes.

    Raises:
        UnsupportedMediaError: none that is read here.
    """
    with archive.open("rb") as file:
        head = file.read(BLOCK)
    if is_zip(head):
        return zip_members
    if is_tar(head):
        return tar_members
    raise UnsupportedMediaError("this is no archive that is read here; send a zip, tar or tar.gz file")


def unpack(archive: Path, folder: Path, limits: ArchiveLimits, check: Callable[[], None]) -> Unpacked:
    """Unpack the images of an archive into an empty folder.

    Args:
        check: asked again and again; what it raises ends it.

    Raises:
        UnsupportedMediaError: it is no archive that is read here.
        TooLargeError: it holds more than the limits say.
        InputError: it is damaged, encrypted, or holds what is refused.
        OSError: the disk failed.
    """
    budget = Budget(limits, archive.stat().st_size, check)
    names: set[str] = set()
    files: list[AuditFile] = []
    with archive.open("rb") as file, contextlib.closing(reader_of(archive)(file, budget)) as members:
        for member in members:
            check()
            name = checked_name(member.name)
            if name in names:
                raise InputError(f"the archive holds {name!r} twice; give each file a name of its own")
            names.add(name)
            if is_image_name(PurePosixPath(name).name):
                files.append(_write(member, name, folder, len(files), limits.file_bytes))
    if not files:
        raise InputError("the archive holds no image; the names of image files end in .png, .jpg, .webp and the like")
    return Unpacked(files=files, n_skipped=len(names) - len(files))


def checked_name(name: str) -> str:
    r"""Write the name of a member with single slashes; backslashes count as slashes.

    Raises:
        InputError: it leads out of the archive, is empty or too long, or is an archive's.
    """
    shown = name[:256]
    plain = name.replace("\\", "/")
    if len(plain) > LONGEST_NAME or "\0" in plain:
        raise InputError(f"the archive holds a name that is too long or broken off, {shown!r}; rename the file")
    parts = PurePosixPath(plain).parts
    if not parts:
        raise InputError("the archive holds a file without a name; give it one")
    if plain.startswith("/") or parts[0].endswith(":"):
        raise InputError(f"the archive holds the absolute name {shown!r}; pack the files below a folder")
    if ".." in parts:
        raise InputError(f"the archive holds {shown!r}, which leads out of it; pack the files below a folder")
    if parts[-1].lower().endswith(ARCHIVE_SUFFIXES):
        raise InputError(f"the archive holds the archive {shown!r}; archives in archives are not opened, unpack it")
    return "/".join(parts)


def _write(member: Member, name: str, folder: Path, number: int, file_bytes: int) -> AuditFile:
    """Write a member's bytes, one more than may be decoded at most: the record will then say that it is too large."""
    path = folder / str(number)
    with path.open("xb") as file:
        left = file_bytes + 1
        while left and (data := member.read(min(left, 16 * BLOCK))):
            file.write(data)
            left -= len(data)
        file.flush()
        status = os.fstat(file.fileno())
    text = name.encode("utf-8", "surrogateescape").decode(errors="backslashreplace")
    return AuditFile(name=text, place=str(number).encode(), size=status.st_size, changed_ns=status.st_mtime_ns)
