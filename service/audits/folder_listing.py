"""What is in a folder that is audited."""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from service.audits.file_store import AuditFile
from service.audits.sorted_runs import SortedRuns
from service.audits.sources import FOLDER_FLAGS, OF_THE_FILE, is_image_name, opened_below, path_text, root_of

OFTEN = 1024
"""Files between two checks whether the work is still wanted."""

LINK = b"l"


class Selection:
    """What of a folder is listed: here, all images. Folders are named by the steps to them from the one listed."""

    def enters(self, parts: tuple[str, ...]) -> bool:  # noqa: ARG002
        """Whether a folder is looked into; asked of those above it first."""
        return True

    def takes(self, parts: tuple[str, ...], name: str) -> bool:  # noqa: ARG002
        """Whether a file in a folder is listed."""
        return is_image_name(name)

    def passes_over(self, parts: tuple[str, ...], name: str) -> None:
        """Told of each file that is not listed."""


class FolderListing:
    """The files of a folder and of the folders in it, in order of their names.

    Links to files below an allowed folder are followed, links to folders are not. What cannot be listed and where no
    link may lead is a file too, refused with the reason: nothing is passed over in silence but what is no image.
    Memory does not grow with the number of files: the names in a large folder are sorted on the disk.

    Args:
        check: asked in each folder, and now and then in a large one; what it raises ends the work.
        selection: all images, if not given.
    """

    def __init__(
        self, folder: Path, allowed: Sequence[Path], check: Callable[[], None], selection: Selection | None = None
    ) -> None:
        self._folder = folder
        self._check = check
        self._allowed = [root.resolve() for root in allowed]
        self._selection = selection or Selection()
        self.n_skipped = 0

    def __iter__(self) -> Iterator[AuditFile]:
        self.n_skipped = 0
        way: list[_Folder] = []
        parts: tuple[str, ...] | None = ()
        try:
            while parts is not None:
                self._check()
                folder = _Folder(parts)
                way.append(folder)
                yield from self._readable_files(folder)
                parts = _next_folder(way)
        finally:
            for folder in way:
                folder.inner.close()

    def _readable_files(self, folder: "_Folder") -> Iterator[AuditFile]:
        try:
            yield from self._files(folder)
        except OSError as error:
            if not folder.parts or error.errno not in OF_THE_FILE:
                raise
            folder.inner.close()
            yield AuditFile(name=path_text(folder.parts), refused=f"the folder cannot be read ({error.strerror})")

    def _files(self, folder: "_Folder") -> Iterator[AuditFile]:
        place = os.path.join(self._folder, *folder.parts, "")  # noqa: PTH118 (a Path each is slow)
        name = path_text((*folder.parts, ""))
        with opened_below(self._folder, folder.parts, FOLDER_FLAGS) as descriptor, SortedRuns() as files:
            self._sort_out(folder, descriptor, files)
            for number, entry in enumerate(files):
                if number % OFTEN == 0:
                    self._check()
                file, _, kind = entry.partition(b"\0")
                own = os.fsdecode(file)
                shown = name + path_text((own,))
                if kind != LINK:
                    yield _found(shown, place + own, descriptor, own)
                elif (found := self._linked(shown, place + own, folder.parts)) is not None:
                    yield found

    def _sort_out(self, folder: "_Folder", descriptor: int, files: SortedRuns) -> None:
        with os.scandir(descriptor) as scan:
            for number, entry in enumerate(scan):
                if number % OFTEN == 0:
                    self._check()
                name = entry.name
                if entry.is_dir(follow_symlinks=False):
                    if self._selection.enters((*folder.parts, name)):
                        folder.inner.add(os.fsencode(name))
                elif self._selection.takes(folder.parts, name):
                    files.add(os.fsencode(name) + b"\0" + (LINK if entry.is_symlink() else b""))
                elif entry.is_symlink() and self._selection.enters((*folder.parts, name)):
                    files.add(os.fsencode(name) + b"\0" + LINK)
                else:
                    self._pass_over(folder.parts, name)

    def _pass_over(self, parts: tuple[str, ...], name: str) -> None:
        self.n_skipped += 1
        self._selection.passes_over(parts, name)

    def _linked(self, name: str, path: str, parts: tuple[str, ...]) -> AuditFile | None:
        target = Path(os.path.realpath(path))
        if root_of(target, self._allowed) is None:
            return AuditFile(name=name, refused="the link leads out of the folders that may be audited")
        try:
            status = target.lstat()
        except OSError as error:
            return AuditFile(name=name, refused=f"the link leads nowhere ({error.strerror})")
        if stat.S_ISLNK(status.st_mode):
            return AuditFile(name=name, refused="the link leads in a circle")
        if stat.S_ISDIR(status.st_mode):
            return AuditFile(name=name, refused="links to folders are not followed; audit that folder by itself")
        own = os.path.basename(path)  # noqa: PTH119
        if self._selection.takes(parts, own):
            return _listed(name, str(target), status)
        self._pass_over(parts, own)
        return None


class _Folder:
    """A folder on the way, and the names of those in it."""

    def __init__(self, parts: tuple[str, ...]) -> None:
        self.parts = parts
        self.inner = SortedRuns()
        self._names: Iterator[bytes] | None = None

    def next_inner(self) -> bytes | None:
        self._names = iter(self.inner) if self._names is None else self._names
        return next(self._names, None)


def _next_folder(way: list[_Folder]) -> tuple[str, ...] | None:
    while way:
        name = way[-1].next_inner()
        if name is not None:
            return (*way[-1].parts, os.fsdecode(name))
        way.pop().inner.close()
    return None


def _found(name: str, path: str, folder: int, own: str) -> AuditFile:
    try:
        return _listed(name, path, os.stat(own, dir_fd=folder, follow_symlinks=False))
    except OSError as error:
        if error.errno not in OF_THE_FILE:
            raise
        return AuditFile(name=name, refused=f"the file went while the folder was listed ({error.strerror})")


def _listed(name: str, path: str, status: os.stat_result) -> AuditFile:
    if not stat.S_ISREG(status.st_mode):
        return AuditFile(name=name, refused="not a regular file")
    return AuditFile(name=name, place=os.fsencode(path), size=status.st_size, changed_ns=status.st_mtime_ns)
