"""Times of several contenders, taken in turns, so that whatever else the machine does hits all of them alike."""

import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

from detector.types import ProgressCallback
from service.errors import InputError

SHORTEST_SECONDS = 0.25
"""Of one entry: what is quicker is repeated, or the clock and the scheduler would be what is measured."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timing:
    """What one contender took.

    Attributes:
        seconds: one entry a round.
        n_images: judged in each of them.
    """

    seconds: tuple[float, ...]
    n_images: int

    @property
    def images_per_second(self) -> float:
        """The median over the rounds."""
        return self.n_images / statistics.median(self.seconds)

    @property
    def milliseconds_per_image(self) -> float:
        """The median over the rounds."""
        return 1000 / self.images_per_second

    @property
    def spread(self) -> float | None:
        """Interquartile range of the seconds ÷ their median; None of a single round."""
        return spread_of(self.seconds)


def spread_of(values: Sequence[float]) -> float | None:
    """Interquartile range ÷ median; None of a single value."""
    if len(values) < 2:
        return None
    lower, middle, upper = statistics.quantiles(values, n=4, method="inclusive")
    return (upper - lower) / middle


def require_rounds(rounds: int) -> None:
    """Refuse a number of rounds in which nothing is measured.

    Raises:
        InputError: it is not positive.
    """
    if rounds < 1:
        raise InputError(f"{rounds} rounds measure nothing; give --rounds 1 or more (5 by default)")


def alternate(
    contenders: Mapping[str, Callable[[], object]], rounds: int, progress: ProgressCallback
) -> dict[str, tuple[float, ...]]:
    """Seconds of each contender in each round.

    Each is run once before anything counts. Every other round goes backwards, so that a machine that slows down or
    recovers steadily favours none.

    Raises:
        InputError: there is no round.
    """
    require_rounds(rounds)
    total, done = len(contenders) * (rounds + 1), 0
    for name, act in contenders.items():
        act()
        done += 1
        progress(f"warming up {name}", done, total)
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name in _order(list(contenders), number):
            started = time.perf_counter()
            contenders[name]()
            seconds[name].append(time.perf_counter() - started)
            done += 1
            progress(f"round {number + 1} of {rounds}", done, total)
    return {name: tuple(values) for name, values in seconds.items()}


def _order(names: list[str], number: int) -> list[str]:
    return names if number % 2 == 0 else names[::-1]


def ratios(one: Sequence[float], other: Sequence[float]) -> tuple[float, ...]:
    """Of each round: how many times what the other took the one took."""
    return tuple(mine / theirs for mine, theirs in zip(one, other, strict=True))


def median_ratio(one: Sequence[float], other: Sequence[float]) -> float:
    """The median of the ratios within a round."""
    return statistics.median(ratios(one, other))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lasting:
    """An act that is repeated until it lasts long enough to be timed."""

    act: Callable[[], object]
    n_repeats: int

    def __call__(self) -> None:
        for _ in range(self.n_repeats):
            self.act()


def lasting(act: Callable[[], object], shortest: float = SHORTEST_SECONDS) -> Lasting:
    """Repeat an act as often as it takes to last so many seconds; it is run twice to find out, the first not timed."""
    act()
    started = time.perf_counter()
    act()
    taken = time.perf_counter() - started
    return Lasting(act=act, n_repeats=max(1, math.ceil(shortest / max(taken, 1e-6))))
