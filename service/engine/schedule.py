"""Whose turn it is on the device."""

import itertools
from collections.abc import Mapping
from typing import NamedTuple

from service.engine.fair_queue import FairQueue
from service.engine.hand import Hand
from service.engine.jobs import Destination
from service.engine.work import Lane


class Turn(NamedTuple):
    """The next step: what it is for, and the lane that it is due to."""

    destination: Destination
    lane: Lane


class Schedule:
    """Chooses the next step.

    The interactive lane goes first, but of `background_every` steps one at least is the background's when that waits.
    Inside a lane, bundles with images in hand and what is first in the queue take turns.
    """

    def __init__(self, queue: FairQueue, hands: Mapping[str, Hand], background_every: int) -> None:
        self._queue, self._hands, self._background_every = queue, hands, background_every
        self._n_since_background = 0
        self._turns = itertools.count(1)
        self._last: dict[Destination, int] = {}

    def next(self) -> Turn | None:
        """The step to do now; None where there is nothing to do."""
        lanes = {name: hand.lanes() for name, hand in self._hands.items() if not hand.is_idle}
        interactive = self._candidates(Lane.INTERACTIVE, lanes)
        background = self._candidates(Lane.BACKGROUND, lanes)
        is_background = bool(background) and (not interactive or self._n_since_background + 1 >= self._background_every)
        self._n_since_background = self._n_since_background + 1 if background and not is_background else 0
        candidates = background if is_background else interactive
        if not candidates:
            return None
        destination = min(candidates, key=lambda candidate: self._last.get(candidate, 0))
        self._last[destination] = next(self._turns)
        return Turn(destination, Lane.BACKGROUND if is_background else Lane.INTERACTIVE)

    def _candidates(self, lane: Lane, lanes: Mapping[str, set[Lane]]) -> list[Destination]:
        candidates: list[Destination] = [name for name, held in lanes.items() if lane in held]
        first = self._queue.first(lane)
        return candidates if first is None else [*candidates, first]
