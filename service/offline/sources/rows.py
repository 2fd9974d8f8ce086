"""Rows of a manifest, whatever it is written in."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, Protocol

from service.errors import InputError

PATH_COLUMNS = ("path", "file_name", "file", "image_path")
"""Which column names the images."""

LABEL_COLUMN = "label"

MOST_COLUMNS = 1000

Opener = Callable[[], BinaryIO]
"""Opens the manifest from its beginning."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row.

    Attributes:
        where: `line 7` or `row 7`, for people.
        path: of the image, as it stands there; None where none does.
        columns: the values of the manifest's own columns.
        broken: why the row says nothing; its columns are null.
    """

    where: str
    path: str | None = None
    label: str | None = None
    columns: tuple[object, ...] = ()
    broken: str | None = None


class Rows(Protocol):
    """A manifest that can be read as often as one likes."""

    @property
    def columns(self) -> Any:
        """The Arrow schema of all columns but those of the path and the label."""
        ...

    def __iter__(self) -> Iterator[Row]: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """Which column is what.

    Attributes:
        path: number of the column that names the images.
        label: number of the column of labels, if there is one.
        own: numbers of all others.
    """

    path: int
    label: int | None
    own: tuple[int, ...]


def layout_of(names: Sequence[str], manifest: str, path_columns: Sequence[str]) -> Layout:
    """Find the columns of a manifest.

    Args:
        path_columns: the first of these that is there names the images.

    Raises:
        InputError: none names the images, two columns have one name, or there are far too many.
    """
    if len(names) > MOST_COLUMNS:
        raise InputError(f"{manifest} has {len(names)} columns, and at most {MOST_COLUMNS} are carried; leave some out")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{manifest} has two columns {twice!r}; give each a name of its own")
    found = next((name for name in path_columns if name in names), None)
    if found is None:
        raise InputError(
            f"{manifest} has no column {' or '.join(path_columns)} that names the images; it "
            f"has {', '.join(map(repr, names[:20])) or 'none'}"
        )
    path = names.index(found)
    label = names.index(LABEL_COLUMN) if LABEL_COLUMN in names else None
    own = tuple(number for number in range(len(names)) if number not in (path, label))
    return Layout(path=path, label=label, own=own)
