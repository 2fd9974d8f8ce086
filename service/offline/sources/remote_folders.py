"""Folders of object stores."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from service.errors import InputError
from service.offline.items import Item
from service.offline.reading.urls import filesystem_of, patiently, stamp_of
from service.offline.sources.containers import sources_among
from service.offline.sources.folders import ImageSelection, SelectedFolder
from service.offline.sources.joined import JoinedSource
from service.offline.sources.source import ContainerFile, Skipped, Source, printable
from service.offline.sources.survey import Parts, survey_of


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RemoteFile:
    """One object, or a folder that cannot be listed.

    Attributes:
        parts: the folders before its name, from the one that is listed.
    """

    parts: Parts
    name: str
    url: str
    size: int | None = None
    stamp: str = ""
    refused: str | None = None

    @property
    def path(self) -> str:
        """What results call it."""
        return printable("/".join((*self.parts, self.name)))


def open_remote_folder(root: str, selection: ImageSelection, description: Mapping[str, Any]) -> Source:
    """All that a selection covers: first the images, then those in tar archives, then those in Parquet files.

    Args:
        root: a URL without a slash at its end.

    Raises:
        InputError: there is nothing, or it cannot be read.
        OSError: the network failed.
    """
    found = survey_of((file.parts, file.name) for file in walk(root, selection, _no_check))
    wanted = {(*parts,) for parts in found.containers}
    files = [
        ContainerFile(name=file.path, place=file.url, size=file.size, stamp=file.stamp)
        for file in (walk(root, selection, _no_check) if wanted else ())
        if (*file.parts, file.name) in wanted
    ]
    inner = list(sources_among(files, are_all=not found.has_images))
    if not found.has_images and not inner:
        raise InputError(f"{root} holds no image (.png, .jpg, …), no tar archive and no Parquet file of images")
    images = RemoteFolder(
        root,
        description,
        selection=selection,
        read_elsewhere=[file.name for _, group in inner for file in group],
        labelled=found.has_class_folders,
    )
    sources = [source for source, _ in inner]
    # An empty folder of images may still count what is passed over.
    return JoinedSource([images, *sources], description) if sources else images


class RemoteFolder(SelectedFolder[str]):
    """Each image below a folder: those of a folder in order of their names, before those of the folders in it."""

    def items(self, check: Callable[[], None]) -> Iterator[Item]:
        """List the files."""
        self.skipped = Skipped()
        for file in walk(self._root, self._selection, check):
            if file.refused is not None or self._selection.takes(file.parts, file.name):
                yield Item(
                    path=file.path,
                    container=printable(file.url),
                    size=file.size,
                    stamp=file.stamp,
                    given_label=printable(file.parts[-1]) if self._labelled and file.parts else None,
                    refused=file.refused,
                )
            elif file.path not in self._read_elsewhere:
                self.skipped.add(file.name)


def walk(root: str, selection: ImageSelection, check: Callable[[], None]) -> Iterator[RemoteFile]:
    """The files of a folder that a selection covers; one folder is in memory at a time.

    Raises:
        InputError: there is no such folder.
        OSError: the network failed.
    """
    filesystem = filesystem_of(root)
    waiting: list[Parts] = [()]
    while waiting:
        check()
        parts = waiting.pop()
        url = "/".join((root, *parts))
        try:
            files, folders = _listed(filesystem, url, parts)
        except InputError as error:
            if not parts:
                raise InputError(f"{root}: {error}") from error
            yield RemoteFile(parts=parts[:-1], name=parts[-1], url=url, refused=f"the folder cannot be read ({error})")
            continue
        for file in files:
            check()
            if selection.covers(parts, file.name):
                yield file
        waiting += [(*parts, name) for name in reversed(folders) if selection.enters((*parts, name))]


def _listed(filesystem: Any, url: str, parts: Parts) -> tuple[list[RemoteFile], list[str]]:
    """Files and folders of a folder, in order of their names."""
    itself = filesystem._strip_protocol(url).rstrip("/")
    files, folders = [], []
    for entry in patiently(lambda: filesystem.ls(url, detail=True), url):
        path = entry["name"].rstrip("/")
        name = path.rsplit("/", 1)[-1]
        if path == itself:
            # Stores keep empty folders as objects of their names.
            if entry["type"] == "file" and entry.get("size") and not entry["name"].endswith("/"):
                raise InputError("a file and not a folder, and its ending does not say what it is")
        elif entry["type"] == "directory":
            folders.append(name)
        else:
            file = RemoteFile(
                parts=parts, name=name, url=f"{url}/{name}", size=entry.get("size"), stamp=stamp_of(entry)
            )
            files.append(file)
    return sorted(files, key=lambda file: file.name), sorted(set(folders))


def _no_check() -> None:
    pass
