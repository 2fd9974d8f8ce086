"""Folders of images with a manifest among them, as data set hubs lay them out."""

import dataclasses
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from service.audits.sorted_runs import SortedRuns
from service.audits.sources import path_text
from service.errors import InputError
from service.offline.items import Item
from service.offline.sources.folders import ImageFolder
from service.offline.sources.joined import JoinedSource
from service.offline.sources.local_files import item_of, look_up
from service.offline.sources.manifests import LocalImages, ManifestSource, local_opener, open_rows
from service.offline.sources.rows import PATH_COLUMNS
from service.offline.sources.source import Skipped, Source
from service.offline.sources.survey import Parts

NAMES_OF_FILES = ("file_name", *(name for name in PATH_COLUMNS if name != "file_name"))
"""Hubs say `file_name`; beside it, `path` may be where the image once was."""

OFTEN = 1024

# No name of a file holds either byte, and no path has them in this order.
BETWEEN = b"\0/"

logger = logging.getLogger(__name__)


class HubFolder:
    """The images that the manifests of a folder name, in their order, and behind them those that none names.

    Args:
        manifests: the folder's own, or one for each split.
        images: all of the folder.
    """

    def __init__(self, manifests: Sequence[Source], images: ImageFolder, description: Mapping[str, Any]) -> None:
        self._named = JoinedSource(manifests, description)
        self._images = images
        self.description = dict(description)
        self.columns = self._named.columns
        self.skipped = Skipped()

    def items(self, check: Callable[[], None]) -> Iterator[Item]:
        """List what is named, then the folder."""
        without = (None,) * len(self.columns)
        with SortedRuns() as named, SortedRuns() as there:
            for item in self._named.items(check):
                if item.refused is None:
                    named.add(os.fsencode(item.container))
                yield item
            for item in self._images.items(check):
                if item.refused is None:
                    there.add(os.fsencode(item.container) + BETWEEN + item.path.encode())
                else:
                    yield dataclasses.replace(item, columns=without)
            self.skipped = self._images.skipped
            for number, (container, path) in enumerate(_missing(iter(there), iter(named))):
                if number % OFTEN == 0:
                    check()
                yield item_of(look_up(container, path), columns=without)


def manifests_of(root: Path, metadata: Sequence[Parts]) -> dict[Parts, Source]:
    """Those files called metadata that name images; of the others it is said that they are passed over.

    Raises:
        InputError: a folder has two of them.
    """
    found: dict[Parts, Source] = {}
    for parts in metadata:
        *folder, name = parts
        path = root.joinpath(*parts)
        try:
            rows = open_rows(local_opener(path), name, NAMES_OF_FILES)
        except InputError as error:
            logger.warning("%s is passed over as a manifest: %s", path_text(parts), error)
            continue
        if any(other[:-1] == parts[:-1] for other in found):
            raise InputError(f"{path.parent} has two manifests called metadata; keep one")
        locate = LocalImages(
            path.parent, allow_urls=False, name_prefix=path_text((*folder, "")) if folder else "", within=True
        )
        found[parts] = ManifestSource(rows, locate, {"kind": "manifest", "location": path_text(parts)})
    return found


def _missing(listed: Iterator[bytes], named: Iterator[bytes]) -> Iterator[tuple[str, str]]:
    """The container and path of what is listed and not named; both come in order."""
    latest = next(named, None)
    for entry in listed:
        container, _, path = entry.partition(BETWEEN)
        while latest is not None and latest < container:
            latest = next(named, None)
        if latest != container:
            yield os.fsdecode(container), path.decode()
