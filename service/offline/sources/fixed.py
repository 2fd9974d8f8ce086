"""Items that are known before anything is listed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from service.offline.items import Item
from service.offline.sources.source import NO_COLUMNS, ContainerFile, Skipped


class FixedItems:
    """A few items: one image file, or files that cannot be read."""

    columns = NO_COLUMNS

    def __init__(self, items: Sequence[Item], description: Mapping[str, Any]) -> None:
        self._items = items
        self.description = dict(description)
        self.skipped = Skipped()

    def items(self, check: Callable[[], None]) -> Iterator[Item]:
        """Those."""
        check()
        yield from self._items


def refused_files(files: Sequence[ContainerFile], reason: str) -> FixedItems:
    """A row for each of some files."""
    rows = [Item(path=file.name, container=file.place, stamp=file.stamp, refused=reason) for file in files]
    return FixedItems(rows, {"kind": "refused", "location": [file.name for file in files]})
