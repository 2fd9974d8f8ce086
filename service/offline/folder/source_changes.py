"""How a source differs from what was listed of it."""

import itertools
from collections.abc import Iterator

from service.offline.items import Item

MOST_HELD = 100_000
"""Items that are waited for on both sides together; behind that, differences are too many to be told."""

N_SHOWN = 5

FIELDS = ("size", "stamp", "given_label", "columns", "refused", "holder", "container", "position")


class SourceChanges:
    """Compares two orders of items in memory that grows with their differences alone.

    Args:
        was: what was listed.
        now: what the source has now.
        was_complete: whether the former ends where the source ended; else what comes behind it says nothing.
    """

    def __init__(self, was: Iterator[Item], now: Iterator[Item], *, was_complete: bool) -> None:
        self._gone: dict[str, list[Item]] = {}
        self._new: dict[str, list[tuple[int, Item]]] = {}
        self._changed: list[str] = []
        self._n_changed = 0
        self._first_moved: str | None = None
        self._last_met = -1
        self._is_whole = True
        self._compare(was, now, was_complete)
        if not was_complete and (self._last_met >= 0 or self._n_changed):
            self._drop_behind_the_last()

    def describe(self) -> str:
        """The differences as words: the first paths of each kind, and how many there are."""
        parts = [
            self._part("added", sum(map(len, self._new.values())), list(self._new)),
            self._part("removed", sum(map(len, self._gone.values())), list(self._gone)),
            self._part("changed", self._n_changed, self._changed),
        ]
        found = [part for part in parts if part is not None]
        if not found and self._first_moved is not None:
            found = [f"the same images in another order, from {self._first_moved!r} on"]
        return ", ".join(found) or "the same images, listed in another way"

    def _compare(self, was: Iterator[Item], now: Iterator[Item], was_complete: bool) -> None:
        n_held = 0
        for place, (old, new) in enumerate(itertools.zip_longest(was, now)):
            is_behind = old is None and not was_complete
            if is_behind and not self._gone:
                return
            if old is not None and new is not None and old.path != new.path:
                self._first_moved = self._first_moved or new.path
            if new is not None and not (is_behind and new.path not in self._gone):
                n_held += self._meet_new(place, new)
            if old is not None:
                n_held += self._meet_old(old)
            if n_held > MOST_HELD:
                self._is_whole = False
                return

    def _meet_new(self, place: int, new: Item) -> int:
        """How many more items are waited for."""
        waiting = self._gone.get(new.path)
        if waiting is None:
            self._new.setdefault(new.path, []).append((place, new))
            return 1
        self._pair(place, waiting.pop(0), new)
        if not waiting:
            del self._gone[new.path]
        return -1

    def _meet_old(self, old: Item) -> int:
        waiting = self._new.get(old.path)
        if waiting is None:
            self._gone.setdefault(old.path, []).append(old)
            return 1
        place, new = waiting.pop(0)
        self._pair(place, old, new)
        if not waiting:
            del self._new[old.path]
        return -1

    def _pair(self, place: int, old: Item, new: Item) -> None:
        self._last_met = max(self._last_met, place)
        if old != new:
            self._n_changed += 1
            if len(self._changed) < N_SHOWN:
                self._changed.append(f"{new.path}: {_difference(old, new)}")

    def _drop_behind_the_last(self) -> None:
        """What the source has behind the last item that was listed was not there to be compared with."""
        for path, waiting in list(self._new.items()):
            self._new[path] = [(place, item) for place, item in waiting if place < self._last_met]
            if not self._new[path]:
                del self._new[path]

    def _part(self, words: str, number: int, shown: list[str]) -> str | None:
        if not number:
            return None
        names = ", ".join(repr(name) if words != "changed" else name for name in shown[:N_SHOWN])
        more = ", …" if number > N_SHOWN else ""
        return f"{'' if self._is_whole else 'at least '}{number} {words} ({names}{more})"


def _difference(old: Item, new: Item) -> str:
    name = next(name for name in FIELDS if getattr(old, name) != getattr(new, name))
    if name == "stamp":
        return "written again since"
    if name in ("container", "position"):
        return "lies elsewhere"
    return f"{name.replace('_', ' ')} was {getattr(old, name)!r}, is {getattr(new, name)!r}"
