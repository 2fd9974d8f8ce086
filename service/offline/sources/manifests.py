"""Manifests: files that name images, and say things of them."""

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from service.errors import InputError
from service.offline.items import Item
from service.offline.reading.urls import checked_url, shown_name
from service.offline.sources.csv_rows import CsvRows
from service.offline.sources.json_rows import JsonRows
from service.offline.sources.local_files import item_of, look_up
from service.offline.sources.parquet_rows import ParquetRows
from service.offline.sources.rows import PATH_COLUMNS, Opener, Row, Rows
from service.offline.sources.source import FileKind, Skipped, kind_of, printable

OFTEN = 1024

READERS: dict[FileKind, Callable[[Opener, str, Sequence[str]], Rows]] = {
    FileKind.CSV: CsvRows,
    FileKind.JSON_LINES: JsonRows,
    FileKind.PARQUET: ParquetRows,
}

MANIFESTS = frozenset(READERS)

OUTSIDE = "it lies outside of the folder of its metadata, and is not read"

Locate = Callable[[str], Item]
"""From a path as a manifest has it to an item without label and columns."""


class ManifestSource:
    """The images that a manifest names, in its order, as often as it names them.

    Args:
        rows: of `open_rows`.
        locate: finds an image; for files of this machine a `LocalImages`.
    """

    def __init__(self, rows: Rows, locate: Locate, description: Mapping[str, Any]) -> None:
        self._rows = rows
        self._locate = locate
        self.description = dict(description)
        self.columns = rows.columns
        self.skipped = Skipped()

    def items(self, check: Callable[[], None]) -> Iterator[Item]:
        """One for each row."""
        for number, row in enumerate(self._rows):
            if number % OFTEN == 0:
                check()
            yield self._item(row)

    def _item(self, row: Row) -> Item:
        if row.broken is not None:
            return Item(path=row.where, columns=row.columns, refused=f"{row.where} of the manifest: {row.broken}")
        if row.path is None:
            found = Item(path=row.where, refused=f"{row.where} of the manifest names no file")
        else:
            found = self._locate(row.path)
        return dataclasses.replace(found, given_label=row.label, columns=row.columns)


def open_rows(opener: Opener, name: str, path_columns: Sequence[str] = PATH_COLUMNS) -> Rows:
    """The rows of a manifest, by the ending of its name.

    Args:
        name: for people, and for its ending.
        path_columns: the first of these that is there names the images.

    Raises:
        InputError: it is no manifest, cannot be opened, or names no images.
    """
    kind = kind_of(name)
    if kind not in READERS:
        raise InputError(f"{name} is no manifest; its name has to end in .csv, .jsonl, .ndjson or .parquet")
    return READERS[kind](opener, name, path_columns)


def local_opener(path: Path) -> Opener:
    """Opens a file of this machine; its failure is the user's to mend."""

    def opened() -> BinaryIO:
        try:
            return path.open("rb")
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}); see to its permissions") from error

    return opened


class LocalImages:
    """Finds the images of a manifest on this machine; URLs are left to who reads them, if that is allowed.

    Args:
        folder: absolute; what relative paths begin at.
        name_prefix: of the images in the folder, in the results; empty, or with a slash at its end.
        within: where all paths have to lie below the folder, as in data sets of others.
    """

    def __init__(self, folder: Path, *, allow_urls: bool, name_prefix: str = "", within: bool = False) -> None:
        self._folder = os.fspath(folder)
        self._beginning = self._folder.rstrip("/") + "/"
        self._allow_urls = allow_urls
        self._prefix = name_prefix
        self._within = within

    def __call__(self, text: str) -> Item:
        """Find one."""
        if "://" in text and not text.startswith("file://"):
            return self._remote(text)
        path = os.path.normpath(os.path.join(self._folder, text.removeprefix("file://")))  # noqa: PTH118
        inside = path.startswith(self._beginning)
        name = self._prefix + path[len(self._beginning) :] if inside else path
        if self._within and not inside:
            return Item(path=printable(name), refused=OUTSIDE)
        return item_of(look_up(path, printable(name)))

    def _remote(self, text: str) -> Item:
        shown = printable(text)
        if self._within:
            return Item(path=shown, refused=OUTSIDE)
        if not self._allow_urls:
            return Item(path=shown, refused="URLs are not read; allow them with --allow-urls")
        return remote_item(shown)


def remote_item(url: str) -> Item:
    """An image behind a URL; nobody looks whether it is there before it is read."""
    try:
        return Item(path=shown_name(url), container=checked_url(url))
    except InputError as error:
        return Item(path=shown_name(url), refused=str(error))
