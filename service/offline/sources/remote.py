"""Sources that are not on this machine."""

import functools
import posixpath
import urllib.parse
from typing import BinaryIO, cast

from service.errors import InputError
from service.offline.items import Item
from service.offline.reading.remote_places import RemotePlace, probe
from service.offline.reading.urls import WEB, checked_url, protocol_of, shown_name
from service.offline.sources.braces import expand_braces, has_braces
from service.offline.sources.containers import container_source, is_without_images
from service.offline.sources.fixed import FixedItems
from service.offline.sources.folders import ImageSelection
from service.offline.sources.globs import PatternSelection, is_pattern
from service.offline.sources.manifests import ManifestSource, open_rows, remote_item
from service.offline.sources.remote_folders import open_remote_folder
from service.offline.sources.source import CONTAINERS, ContainerFile, FileKind, Source, kind_of, printable

MANIFEST_BYTES = 4 * 2**20
"""Of a manifest that are asked for at once."""


def open_remote(url: str, allow_urls: bool) -> Source:
    """Open images behind a URL: a folder, a pattern, an image, a manifest, archives or Parquet files.

    Servers of the web have no folders that can be listed; there it has to be a file, whose name says what it is.

    Raises:
        InputError: URLs are not allowed, its protocol is not read or lacks its library, or there are no images.
        OSError: the network failed.
    """
    if not allow_urls:
        raise InputError(
            f"{printable(shown_name(url))} is a URL, and other hosts are not asked; allow it with --allow-urls"
        )
    url = checked_url(url)
    if has_braces(url):
        return _containers(expand_braces(url))
    is_web = protocol_of(url) in WEB
    if not is_web and is_pattern(url):
        return _pattern(url)
    kind = kind_of(shown_name(url))
    if kind is FileKind.IMAGE:
        return _image(url)
    if kind in CONTAINERS and not (kind is FileKind.PARQUET and is_without_images(_file(url))):
        return _containers([url])
    if kind is not FileKind.OTHER:
        return _manifest(url)
    if is_web:
        raise InputError(
            f"{shown_name(url)} does not say by its ending what it is, and folders of the web cannot be listed; give "
            "an image, a manifest, a tar archive or a Parquet file"
        )
    root = url.rstrip("/")
    return open_remote_folder(root, ImageSelection(), {"kind": "folder", "location": root})


def _pattern(url: str) -> Source:
    steps = url.split("/")
    first = next(number for number, step in enumerate(steps) if is_pattern(step))
    if first < 3:
        raise InputError(f"{url!r} leaves open on what to look; name the bucket")
    root, pattern = "/".join(steps[:first]), "/".join(steps[first:])
    return open_remote_folder(root, PatternSelection(pattern), {"kind": "pattern", "location": root, "of": pattern})


def _image(url: str) -> Source:
    try:
        found = probe(url)
    except InputError as error:
        raise InputError(f"{shown_name(url)}: {error}") from error
    item = Item(path=_name(url), container=url, size=found.size, stamp=found.stamp)
    return FixedItems([item], {"kind": "image", "location": shown_name(url)})


def _containers(urls: list[str]) -> Source:
    kinds = {kind_of(shown_name(url)) for url in urls}
    if not kinds <= CONTAINERS:
        raise InputError(f"{shown_name(urls[0])} and the like are neither tar archives nor Parquet files")
    files = [_file(url) for url in urls]
    return container_source(files, [shown_name(url) for url in urls])


def _manifest(url: str) -> Source:
    rows = open_rows(functools.partial(_opened, url), _name(url))
    return ManifestSource(rows, RemoteImages(url), {"kind": "manifest", "location": shown_name(url)})


def _opened(url: str) -> BinaryIO:
    return cast(BinaryIO, RemotePlace(url).stream(MANIFEST_BYTES))


def _file(url: str) -> ContainerFile:
    return ContainerFile(name=_name(url), place=url)


def _name(url: str) -> str:
    return printable(posixpath.basename(shown_name(url)))


class RemoteImages:
    """Finds the images of a manifest that lies behind a URL: at other URLs, or below its own folder.

    Args:
        url: of the manifest.
    """

    def __init__(self, url: str) -> None:
        self._folder = posixpath.dirname(shown_name(url))
        self._is_web = protocol_of(url) in WEB

    def __call__(self, text: str) -> Item:
        """Find one; nobody looks whether it is there before it is read."""
        if "://" in text:
            return self._elsewhere(text)
        path = posixpath.normpath(text)
        if path in (".", "..") or path.startswith(("/", "../")):
            return Item(path=printable(text), refused="it lies outside of the folder of its manifest, and is not read")
        quoted = urllib.parse.quote(path) if self._is_web else path
        return Item(path=printable(path), container=f"{self._folder}/{printable(quoted)}")

    def _elsewhere(self, text: str) -> Item:
        if text.startswith("file://"):
            return Item(path=printable(text), refused="a manifest of another host names no files of this machine")
        return remote_item(printable(text))
