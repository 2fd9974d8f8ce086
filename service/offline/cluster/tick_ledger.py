"""Progress of shards that may be begun more than once."""

import dataclasses
from collections.abc import Callable

from service.offline.work import Tick


class TickLedger:
    """Turns counts since a shard was begun into ticks that never repeat and never shrink.

    A shard whose worker was lost is judged from its first image on; nothing is told of that before it is further than
    the attempt before. When a shard is done, its ticks add up to its images.
    """

    def __init__(self, on_tick: Callable[[Tick], None]) -> None:
        self._on_tick = on_tick
        self._told: dict[int, Tick] = {}

    def counted(self, so_far: Tick) -> None:
        """A shard that is under way is so far."""
        told = self._told.get(so_far.shard, Tick(shard=so_far.shard, n_images=0, n_flagged=0, n_errors=0))
        more = Tick(
            shard=so_far.shard,
            n_images=max(0, so_far.n_images - told.n_images),
            n_flagged=max(0, so_far.n_flagged - told.n_flagged),
            n_errors=max(0, so_far.n_errors - told.n_errors),
        )
        if more.n_images:
            self._told[so_far.shard] = added(told, more)
            self._on_tick(more)

    def done(self, total: Tick) -> None:
        """A shard is whole."""
        self.counted(total)
        self._told.pop(total.shard, None)


def added(one: Tick, other: Tick) -> Tick:
    """Two ticks of the same shard as one."""
    return dataclasses.replace(
        one,
        n_images=one.n_images + other.n_images,
        n_flagged=one.n_flagged + other.n_flagged,
        n_errors=one.n_errors + other.n_errors,
    )
