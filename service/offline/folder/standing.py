"""How far an audit is."""

import dataclasses
import threading


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standing:
    """How far an audit is, over all of its runs.

    Attributes:
        n_items: images that have been listed so far.
        n_shards: that they lie in.
        is_complete: whether those are all.
        n_done: images of shards that are done.
        n_shards_done: shards that are done.
        n_flagged: adversarial and undecided ones among the images that are done.
        n_undecided: undecided ones among those.
        n_errors: those that could not be read; they are not among the flagged.
    """

    n_items: int = 0
    n_shards: int = 0
    is_complete: bool = False
    n_done: int = 0
    n_shards_done: int = 0
    n_flagged: int = 0
    n_undecided: int = 0
    n_errors: int = 0


class Tally:
    """A standing that several threads count in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._standing = Standing()

    @property
    def standing(self) -> Standing:
        """As it is now."""
        return self._standing

    def listed(self, n_items: int) -> None:
        """A shard has been listed."""
        self._add(n_items=n_items, n_shards=1)

    def done(self, n_images: int, n_flagged: int, n_undecided: int, n_errors: int) -> None:
        """A shard is done."""
        self._add(n_done=n_images, n_shards_done=1, n_flagged=n_flagged, n_undecided=n_undecided, n_errors=n_errors)

    def complete(self) -> None:
        """All images have been listed."""
        with self._lock:
            self._standing = dataclasses.replace(self._standing, is_complete=True)

    def _add(self, **numbers: int) -> None:
        with self._lock:
            sums = {name: getattr(self._standing, name) + number for name, number in numbers.items()}
            self._standing = dataclasses.replace(self._standing, **sums)
