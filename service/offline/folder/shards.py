"""How the images of a source are cut into shards, and what the files of a shard are called."""

import itertools
import re
from collections.abc import Iterable, Iterator

from service.offline.items import Item

FIRST_SIZE = 16
"""Of the first shard, so that there is something to look at early; each further one is twice as large, to the bound."""

SHARD_FILE = re.compile(r"(\d{8,})\.parquet")


def shard_sizes(largest: int) -> Iterator[int]:
    """How many images the shards have, without end; what is left for the last one may be less."""
    size = min(FIRST_SIZE, largest)
    while True:
        yield size
        size = min(2 * size, largest)


def in_shards(items: Iterable[Item], largest: int) -> Iterator[list[Item]]:
    """Cut items into shards, none of them empty."""
    waiting = iter(items)
    for size in shard_sizes(largest):
        shard = list(itertools.islice(waiting, size))
        if not shard:
            return
        yield shard


def shard_file(number: int) -> str:
    """The name of a shard's file, in each of the folders; names sort as numbers do."""
    return f"{number:08d}.parquet"


def shard_number(name: str) -> int | None:
    """The number of the shard that a file is of; None where it is of none."""
    match = SHARD_FILE.fullmatch(name)
    return int(match.group(1)) if match else None
