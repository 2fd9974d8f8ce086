"""How far an audit is and how fast it goes, between one shard that is done and the next."""

import collections
import dataclasses
import threading
import time
from collections.abc import Callable

from service.offline.folder.standing import Standing
from service.offline.work import JudgedShard, Tick

WINDOW_SECONDS = 60.0
"""Over which speed is measured; a whole run's mean would be late to notice that images became larger."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """What can be said at one moment.

    Attributes:
        n_done: images that are judged, those of unfinished shards and of earlier runs included.
        n_listed: images that are known of; all there are where `is_listed`.
        n_flagged: adversarial and undecided ones among those judged.
        n_errors: those that could not be read.
        n_shards: shards that are done.
        images_per_second: None until something was judged in this run.
        seconds_left: None until everything is listed and the speed is known.
    """

    n_done: int
    n_listed: int
    is_listed: bool
    n_flagged: int
    n_errors: int
    n_shards: int
    images_per_second: float | None
    seconds_left: float | None


class ProgressMeter:
    """Counts what engines tell; may be read from any thread.

    Args:
        standing: asked for the shards that are done.
        clock: seconds that never go back.
    """

    def __init__(self, standing: Callable[[], Standing], clock: Callable[[], float] = time.monotonic) -> None:
        self._standing = standing
        self._clock = clock
        self._lock = threading.Lock()
        self._finished = standing()
        self._is_writing = False
        self._unfinished: dict[int, list[Tick]] = {}
        self._begun = clock()
        self._samples = collections.deque([(self._begun, 0)])
        self.n_judged = 0

    @property
    def seconds(self) -> float:
        """Since it was made."""
        return self._clock() - self._begun

    def tick(self, tick: Tick) -> None:
        """Some images of a shard were judged."""
        with self._lock:
            self._unfinished.setdefault(tick.shard, []).append(tick)
            self.n_judged += tick.n_images
            now = self._clock()
            self._samples.append((now, self.n_judged))
            # One sample older than the window stays, so that it is measured over all of it.
            while len(self._samples) > 2 and self._samples[1][0] < now - WINDOW_SECONDS:
                self._samples.popleft()

    def write(self, shard: JudgedShard, write: Callable[[JudgedShard], None]) -> None:
        """Write a shard, which from one moment to the next counts as done and not as unfinished."""
        with self._lock:
            # Not what was read last: other shards may have been written since.
            self._finished = self._standing()
            self._is_writing = True
        write(shard)
        with self._lock:
            self._is_writing = False
            self._unfinished.pop(shard.number, None)

    def reading(self) -> Reading:
        """How far it is now."""
        with self._lock:
            standing = self._standing()
            if not self._is_writing:
                self._finished = standing
            finished = self._finished
            ticks = [tick for ticks in self._unfinished.values() for tick in ticks]
            speed = self._images_per_second()
        n_done = finished.n_done + sum(tick.n_images for tick in ticks)
        n_left = standing.n_items - n_done
        return Reading(
            n_done=n_done,
            n_listed=standing.n_items,
            is_listed=standing.is_complete,
            n_flagged=finished.n_flagged + sum(tick.n_flagged for tick in ticks),
            n_errors=finished.n_errors + sum(tick.n_errors for tick in ticks),
            n_shards=finished.n_shards_done,
            images_per_second=speed,
            seconds_left=n_left / speed if speed and standing.is_complete else None,
        )

    def _images_per_second(self) -> float | None:
        begun, before = self._samples[0]
        seconds, n_images = self._clock() - begun, self.n_judged - before
        return n_images / seconds if seconds > 0 and n_images else None
