"""From what a person names to a source."""

import os
from pathlib import Path

from service.errors import InputError
from service.offline.sources.braces import expand_braces, has_braces
from service.offline.sources.containers import container_source, is_without_images
from service.offline.sources.fixed import FixedItems
from service.offline.sources.folders import ImageSelection
from service.offline.sources.globs import PatternSelection, is_pattern, split_pattern
from service.offline.sources.local_files import container_file, item_of, look_up
from service.offline.sources.local_folders import open_folder
from service.offline.sources.manifests import MANIFESTS, LocalImages, ManifestSource, local_opener, open_rows
from service.offline.sources.source import CONTAINERS, ContainerFile, FileKind, Source, kind_of, printable

KINDS = (
    "give a folder, a pattern, an image, a manifest (.csv, .jsonl, .ndjson, .parquet), tar archives, Parquet files "
    "with encoded images, or a URL"
)


def open_source(text: str, *, allow_urls: bool) -> Source:
    """Open what holds the images of an audit.

    Args:
        text: a folder, of any depth and of any mixture of images and what holds images; a pattern (`**`, `*`, `?`,
            `[…]`); one image; a manifest, whose relative paths begin at its folder; tar archives and Parquet files of
            encoded images, also numbered ones (`shard-{0000..0099}.tar`); or a URL. What exists is taken by its name.
        allow_urls: whether other hosts may be asked; `file://` is this machine.

    Raises:
        InputError: it is none of these, cannot be read, or holds no images.
        OSError: the disk or the network failed.
    """
    if "://" in text and not text.startswith("file://"):
        from service.offline.sources.remote import open_remote  # noqa: PLC0415 (clients of networks, which few need)

        return open_remote(text, allow_urls)
    path = text.removeprefix("file://")
    if not path or "\0" in path:
        raise InputError(f"{text!r} names nothing; {KINDS}")
    if os.path.lexists(path):
        return _open_path(path, allow_urls=allow_urls)
    if has_braces(path):
        return _open_numbered(path)
    if is_pattern(path):
        root, pattern = split_pattern(path)
        return open_folder(root, PatternSelection(pattern), _told("pattern", root, pattern=pattern))
    raise InputError(f"{printable(path)} does not exist; {KINDS}")


def _open_path(text: str, *, allow_urls: bool) -> Source:
    try:
        path = Path(text).resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{printable(text)} leads nowhere ({printable(str(error))}); {KINDS}") from None
    if path.is_dir():
        return open_folder(path, ImageSelection(), _told("folder", path))
    if not path.is_file():
        raise InputError(f"{printable(text)} is neither a folder nor a regular file; {KINDS}")
    return _open_file(path, Path(text).name, allow_urls=allow_urls)


def _open_file(path: Path, name: str, *, allow_urls: bool) -> Source:
    """A file by the name that it is called, which links may have changed."""
    kind = kind_of(name)
    if kind is FileKind.IMAGE:
        return FixedItems([item_of(look_up(os.fspath(path), printable(name)))], _told("image", path))
    file = container_file(os.fspath(path), printable(name))
    if kind in CONTAINERS and not (kind is FileKind.PARQUET and is_without_images(file)):
        return container_source([file], printable(os.fspath(path)))
    if kind in MANIFESTS:
        return _open_manifest(path, name, allow_urls=allow_urls)
    raise InputError(f"{printable(name)} is no kind of file that is read here; {KINDS}")


def _open_manifest(path: Path, name: str, *, allow_urls: bool) -> Source:
    rows = open_rows(local_opener(path), name)
    if next(iter(rows), None) is None:
        raise InputError(f"{printable(name)} names no image; give a manifest with a row for each")
    return ManifestSource(rows, LocalImages(path.parent, allow_urls=allow_urls), _told("manifest", path))


def _open_numbered(text: str) -> Source:
    files = [_numbered(path) for path in expand_braces(text)]
    return container_source(files, printable(os.path.abspath(text)))  # noqa: PTH100 (braces are no part of a path)


def _numbered(path: str) -> ContainerFile:
    if kind_of(path) not in CONTAINERS:
        raise InputError(f"{printable(path)} is no tar archive and no Parquet file; other files are named by a pattern")
    return container_file(os.path.abspath(path), printable(os.path.normpath(path)))  # noqa: PTH100


def _told(kind: str, path: Path, **more: object) -> dict[str, object]:
    return {"kind": kind, "location": printable(os.fspath(path)), **more}
