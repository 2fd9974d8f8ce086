"""Files of this machine as items."""

import functools
import os
import stat

from service.audits.file_store import AuditFile
from service.errors import InputError
from service.offline.items import Item
from service.offline.sources.source import ContainerFile, printable


def item_of(file: AuditFile, given_label: str | None = None, columns: tuple[object, ...] = ()) -> Item:
    """A listed file as an item."""
    return Item(
        path=file.name,
        container=os.fsdecode(file.place),
        size=None if file.refused else file.size,
        stamp="" if file.refused else str(file.changed_ns),
        given_label=given_label,
        columns=columns,
        refused=file.refused,
    )


def look_up(path: str, name: str) -> AuditFile:
    """A file named by somebody as if it had been listed; links are followed.

    Args:
        path: absolute, without `..`.
        name: what the results call it.
    """
    try:
        place, status = _resolved(path)
    except OSError as error:
        return AuditFile(name=name, refused=f"the file cannot be read ({error.strerror})")
    except ValueError:
        return AuditFile(name=name, refused="the file cannot be read (no file can have such a name)")
    if not stat.S_ISREG(status.st_mode):
        return AuditFile(name=name, refused="not a regular file")
    return AuditFile(name=name, place=os.fsencode(place), size=status.st_size, changed_ns=status.st_mtime_ns)


def container_file(path: str, name: str) -> ContainerFile:
    """A file that holds images.

    Raises:
        InputError: it is none that can be read.
    """
    file = look_up(path, name)
    if file.refused is not None:
        raise InputError(f"{printable(path)}: {file.refused}; give one that can be read")
    return ContainerFile(name=name, place=os.fsdecode(file.place), size=file.size, stamp=str(file.changed_ns))


def _resolved(path: str) -> tuple[str, os.stat_result]:
    """An absolute path without links; raises OSError where they lead nowhere or in a circle."""
    folder, _, name = path.rpartition("/")
    place = f"{_resolved_folder(folder or '/').rstrip('/')}/{name}"
    status = os.lstat(place)
    if stat.S_ISLNK(status.st_mode):
        place = os.path.realpath(place, strict=True)
        status = os.lstat(place)
    return place, status


# Millions of files lie in few folders, one after another.
@functools.lru_cache(maxsize=64)
def _resolved_folder(folder: str) -> str:
    return os.path.realpath(folder)
