"""Reading zip archives that are anybody's, so that what is checked is what is used.

Readers of such archives differ: of two members of one name one takes the first and one the last, and some take `A` for
`a`. So everything is read once, here, and whatever could be taken for something else is refused.
"""

import dataclasses
import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from models.errors import ModelError, one_line

UNREADABLE = (zipfile.BadZipFile, RuntimeError, zlib.error, struct.error, EOFError, OSError, ValueError)
"""How zipfile fails on archives that are damaged, encrypted, or compressed in a way that it does not know."""
MOST_GAINED = 2**26
"""Bytes by which the members may outgrow the file: a few kB can be made to unpack to more than the memory holds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Archive:
    """What lies in an archive.

    Attributes:
        members: content of each by its name below the archive's one folder.
        is_compressed: whether any of them is.
    """

    members: Mapping[str, bytes]
    is_compressed: bool


def read_archive(content: bytes, path: Path) -> Archive:
    """Read all members.

    Args:
        content: of the file.
        path: of the file, for messages.

    Raises:
        ModelError: it is no zip archive, damaged or encrypted, unpacks to too much, or has members whose names differ
            in case at most.
    """
    members: dict[str, bytes] = {}
    folded: set[str] = set()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if sum(entry.file_size for entry in entries) > len(content) + MOST_GAINED:
                raise ModelError(f"{path} unpacks to {MOST_GAINED} bytes more than it has; save it again, uncompressed")
            for entry in entries:
                name = entry.filename.partition("/")[2]
                if name.casefold() in folded:
                    raise ModelError(
                        f"{path} is not loaded: it holds {name[:60]!r} twice, but for upper and lower case"
                    )
                folded.add(name.casefold())
                members[name] = archive.read(entry)
    except UNREADABLE as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{path} is damaged, encrypted, or no such archive ({one_line(error)})") from error
    is_compressed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    return Archive(members=members, is_compressed=is_compressed)


def written_anew(members: Mapping[str, bytes], folder: str) -> io.BytesIO:
    """An archive, in memory, of these members alone, uncompressed in one folder."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as target:
        for name, member in members.items():
            target.writestr(f"{folder}/{name}", member)
    archive.seek(0)
    return archive
