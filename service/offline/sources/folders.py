"""Image files in a folder, and in the folders in it."""

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from service.audits.folder_listing import FolderListing, Selection
from service.audits.sources import path_text
from service.offline.items import Item
from service.offline.sources.local_files import item_of
from service.offline.sources.source import NO_COLUMNS, Skipped, is_image

Root = TypeVar("Root", bound=Path | str)

ANYWHERE = (Path("/"),)
"""Where links of files may lead: whoever audits reads their own files."""


class ImageSelection(Selection):
    """The images among the files that a source covers: here, all of a folder."""

    def covers(self, parts: tuple[str, ...], name: str) -> bool:  # noqa: ARG002
        """Whether a file is the source's, image or not."""
        return True

    def takes(self, parts: tuple[str, ...], name: str) -> bool:
        """Whether it is one of its images."""
        return is_image(name) and self.covers(parts, name)


class SelectedFolder(Generic[Root]):
    """A folder and what is taken of it.

    Args:
        root: where it is; without links, if it is on this machine.
        selection: which files are taken.
        read_elsewhere: files, named from the root, that are neither taken nor count as passed over.
        labelled: whether the name of the folder that holds an image is its given label.
    """

    columns = NO_COLUMNS

    def __init__(
        self,
        root: Root,
        description: Mapping[str, Any],
        *,
        selection: ImageSelection,
        read_elsewhere: Collection[str] = (),
        labelled: bool = False,
    ) -> None:
        self._root = root
        self._selection = selection
        self._read_elsewhere = frozenset(read_elsewhere)
        self._labelled = labelled
        self.description = dict(description)
        self.skipped = Skipped()


class ImageFolder(SelectedFolder[Path]):
    """Each image file below a folder, in the order of `FolderListing`."""

    def items(self, check: Callable[[], None]) -> Iterator[Item]:
        """List the files."""
        self.skipped = Skipped()
        counting = _Counting(self._selection, self._read_elsewhere, self.skipped)
        for file in FolderListing(self._root, ANYWHERE, check, counting):
            yield item_of(file, file.name.rsplit("/", 2)[-2] if self._labelled and "/" in file.name else None)


class _Counting(Selection):
    def __init__(self, chosen: ImageSelection, read_elsewhere: frozenset[str], skipped: Skipped) -> None:
        self._chosen = chosen
        self._read_elsewhere = read_elsewhere
        self._skipped = skipped

    def enters(self, parts: tuple[str, ...]) -> bool:
        return self._chosen.enters(parts)

    def takes(self, parts: tuple[str, ...], name: str) -> bool:
        return self._chosen.takes(parts, name)

    def passes_over(self, parts: tuple[str, ...], name: str) -> None:
        if self._chosen.covers(parts, name) and path_text((*parts, name)) not in self._read_elsewhere:
            self._skipped.add(name)
