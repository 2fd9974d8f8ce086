"""A folder of this machine as a source, whatever it holds."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from service.audits.sources import path_text
from service.errors import InputError
from service.offline.sources.containers import sources_among
from service.offline.sources.folders import ImageFolder, ImageSelection
from service.offline.sources.hub_folders import HubFolder, manifests_of
from service.offline.sources.joined import JoinedSource
from service.offline.sources.local_files import container_file
from service.offline.sources.source import ContainerFile, Source
from service.offline.sources.survey import Survey, survey

NOTHING = (
    "no image (.png, .jpg, …), no tar archive and no Parquet file of images of those asked for is in it; folders that "
    "may not be read and links to folders are not looked into"
)


def open_folder(root: Path, selection: ImageSelection, description: Mapping[str, Any]) -> Source:
    """All that a selection covers: first the image files, then those in tar archives, then those in Parquet files.

    Images that a manifest called metadata names come in its order and with its columns, the others behind them.

    Args:
        root: without links.

    Raises:
        InputError: the folder cannot be read, or nothing in it holds images.
    """
    found = survey(root, selection)
    manifests = manifests_of(root, found.metadata) if found.has_images else {}
    inner = list(sources_among(list(_containers(root, found)), are_all=not found.has_images))
    if not found.has_images and not inner:
        raise InputError(f"{root}: {NOTHING}")
    is_labelled = found.has_class_folders and not manifests
    told = {
        **description,
        "labels_from_folders": is_labelled,
        "metadata": [path_text(parts) for parts in manifests],
        "containers": sorted({source.description["kind"] for source, _ in inner}),
    }
    elsewhere = [*told["metadata"], *(file.name for _, group in inner for file in group)]
    images = ImageFolder(root, told, selection=selection, read_elsewhere=elsewhere, labelled=is_labelled)
    first: Source = HubFolder(list(manifests.values()), images, told) if manifests else images
    return JoinedSource([first, *(source for source, _ in inner)], told) if inner else first


def _containers(root: Path, found: Survey) -> Iterator[ContainerFile]:
    for parts in found.containers:
        # What is a pipe, or a link to nowhere, is told of where the folder is listed.
        with contextlib.suppress(InputError):
            yield container_file(os.path.join(root, *parts), path_text(parts))  # noqa: PTH118
