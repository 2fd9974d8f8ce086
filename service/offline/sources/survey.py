"""What kinds of files a folder holds, from their names alone: what is not listed yet decides how it is read."""

import dataclasses
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from service.errors import InputError
from service.offline.sources.folders import ImageSelection
from service.offline.sources.source import CONTAINERS, FileKind, kind_of

SPLITS = frozenset({"train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval"})
"""Folders that say what images are for, not what they show."""

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
"""Manifests of the images of their folder and of those in it."""

Parts = tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Survey:
    """A folder at a glance.

    Attributes:
        has_images: whether any file is an image by its name.
        has_class_folders: whether the names of the folders that hold images are labels: all images lie equally deep,
            in folders of two names at least that are not all those of splits. So do image folders of data set hubs.
        containers: files that may hold images, as steps from the folder, in order: those of a folder before the
            folders in it.
        metadata: manifests beside the images, likewise.
    """

    has_images: bool
    has_class_folders: bool
    containers: tuple[Parts, ...]
    metadata: tuple[Parts, ...]


def survey(root: Path, selection: ImageSelection) -> Survey:
    """Look at the names of all files that a selection covers.

    Raises:
        InputError: the folder itself cannot be read.
    """
    return survey_of(_covered(root, selection))


def survey_of(files: Iterable[tuple[Parts, str]]) -> Survey:
    """Look at names.

    Args:
        files: the folders before each name, as steps, and the name; in any order.
    """
    depths: set[int] = set()
    holders: set[str] = set()
    containers: list[Parts] = []
    metadata: list[Parts] = []
    for parts, name in files:
        kind = kind_of(name)
        if kind is FileKind.IMAGE:
            depths.add(len(parts))
            # Two names are enough to know.
            if parts and (len(holders) < 2 or holders <= SPLITS):
                holders.add(parts[-1].lower())
        elif name in METADATA:
            metadata.append((*parts, name))
        elif kind in CONTAINERS:
            containers.append((*parts, name))
    return Survey(
        has_images=bool(depths),
        has_class_folders=len(depths) == 1 and len(holders) > 1 and not holders <= SPLITS,
        containers=tuple(sorted(containers, key=_files_first)),
        metadata=tuple(sorted(metadata, key=_files_first)),
    )


def _covered(root: Path, selection: ImageSelection) -> Iterator[tuple[Parts, str]]:
    waiting: list[Parts] = [()]
    while waiting:
        parts = waiting.pop()
        try:
            with os.scandir(os.path.join(root, *parts)) as scan:  # noqa: PTH118 (a Path each is slow)
                for entry in scan:
                    if entry.is_dir(follow_symlinks=False):
                        if selection.enters((*parts, entry.name)):
                            waiting.append((*parts, entry.name))
                    elif selection.covers(parts, entry.name):
                        yield parts, entry.name
        except OSError as error:
            # What is wrong with an inner folder is told where it is listed.
            if not parts:
                raise InputError(f"{root} cannot be read ({error.strerror}); see to its permissions") from error


def _files_first(parts: Parts) -> tuple[tuple[bool, bytes], ...]:
    steps = [os.fsencode(part) for part in parts]
    return (*((True, step) for step in steps[:-1]), (False, steps[-1]))
