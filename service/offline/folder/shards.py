"""How the images of a source are cut into shards."""

import itertools
from collections.abc import Iterable, Iterator

from service.offline.items import Item

FIRST_SIZE = 16
"""Of the first shard, so that there is something to look at early; each further one is twice as large, to the bound."""


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
