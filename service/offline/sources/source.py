"""What every source of images has, and what sources share."""

import dataclasses
import enum
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import pyarrow as pa

from service.audits.sources import is_image_name
from service.offline.items import Item

NO_COLUMNS = pa.schema([])
"""Of a source that says nothing of its images."""

MOST_SUFFIXES = 100
"""Told apart among the files that are passed over."""

OTHER_SUFFIXES = "other"


class Source(Protocol):
    """Images in an order that is the same as long as the source is.

    It can be iterated as often as one likes, by one thread at a time, in memory that does not grow with its images.
    """

    @property
    def description(self) -> dict[str, Any]:
        """Its kind and its location as plain JSON, from which one sees whether another source is the same."""
        ...

    @property
    def columns(self) -> Any:
        """The Arrow schema of `Item.columns`: what it says of its images besides; without a prefix."""
        ...

    @property
    def skipped(self) -> Mapping[str, int]:
        """After an iteration: how many files or members were passed over because they are no images, by suffix."""
        ...

    def items(self, check: Callable[[], None]) -> Iterator[Item]:
        """List its images.

        Args:
            check: called often, also where many files are passed over; what it raises ends the listing.

        Raises:
            InputError: it cannot be used any more.
            OSError: the disk or the network failed.
        """
        ...


class FileKind(enum.Enum):
    """What a file is by its name."""

    IMAGE = enum.auto()
    TAR = enum.auto()
    COMPRESSED_TAR = enum.auto()
    PARQUET = enum.auto()
    CSV = enum.auto()
    JSON_LINES = enum.auto()
    OTHER = enum.auto()


SUFFIXES = (
    (".tar", FileKind.TAR),
    (".tar.gz", FileKind.COMPRESSED_TAR),
    (".tgz", FileKind.COMPRESSED_TAR),
    (".tar.bz2", FileKind.COMPRESSED_TAR),
    (".tar.xz", FileKind.COMPRESSED_TAR),
    (".parquet", FileKind.PARQUET),
    (".pq", FileKind.PARQUET),
    (".csv", FileKind.CSV),
    (".jsonl", FileKind.JSON_LINES),
    (".ndjson", FileKind.JSON_LINES),
)

CONTAINERS = frozenset({FileKind.TAR, FileKind.COMPRESSED_TAR, FileKind.PARQUET})
"""What holds many images in one file; a Parquet file only if it has a column of them."""


def is_image(name: str) -> bool:
    """Whether a file is an image by its name. A dot before it hides it from people, and from no training."""
    return is_image_name(name.lstrip("."))


def kind_of(name: str) -> FileKind:
    """What a file is by its name, without or with the folders before it; hidden ones are images or nothing."""
    last = name.rpartition("/")[2]
    if is_image(last):
        return FileKind.IMAGE
    if last.startswith("."):
        return FileKind.OTHER
    lowered = last.lower()
    return next((kind for suffix, kind in SUFFIXES if lowered.endswith(suffix)), FileKind.OTHER)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ContainerFile:
    """A file that holds many images.

    Attributes:
        name: what the results call it; the paths of its images begin with it and a slash.
        place: the absolute path of a local file with links resolved (bytes that are no text as `os.fsdecode` writes
            them), or a URL. It becomes `Item.container`.
        size: in bytes, where the listing tells.
        stamp: of when it was listed; becomes `Item.stamp`.
    """

    name: str
    place: str
    size: int | None = None
    stamp: str = ""


class Skipped(dict[str, int]):
    """Counts what is passed over, by suffix; a source of which every file has one of its own fills no memory."""

    def add(self, name: str) -> None:
        """Count a file or member; without a suffix it counts under the empty one, a hidden file under `hidden`."""
        last = name.rsplit("/", 1)[-1]
        self.count("hidden" if last.startswith(".") else printable(os.path.splitext(last)[1].lower()))  # noqa: PTH122

    def count(self, suffix: str, number: int = 1) -> None:
        """Count some at once."""
        if suffix not in self and len(self) >= MOST_SUFFIXES:
            suffix = OTHER_SUFFIXES
        self[suffix] = self.get(suffix, 0) + number


def printable(name: str) -> str:
    """A name as text; bytes of it that are no text are written as escapes."""
    if name.isascii():
        return name
    try:
        return name.encode(errors="surrogateescape").decode(errors="backslashreplace")
    except UnicodeEncodeError:
        # Surrogates of a JSON text, which stand for no byte.
        return name.encode(errors="backslashreplace").decode()
