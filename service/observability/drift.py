"""Does the traffic still look like the calibration images? A test that may be looked at after every image.

On clean traffic p-values are uniform, but only over the drawing of the calibration images as well. For the n images
that a bundle was calibrated with, the share of clean images with `p ≤ k / (n + 1)` is a fixed number that nobody knows;
over drawings it follows Beta(k, n + 1 − k) (Vovk 2012; Bates et al. 2023, arXiv 2104.08279). So the null hypothesis
here is not "uniform", which long traffic would always refute, but "no share above its upper limit": the limits of all
shares hold at once for all but one in a thousand drawings (Bonferroni).

Against that the test bets on single events, `p ≤ t` and `p ≥ 1 − t` for several t, and for each on several odds. Where
a share is at most its limit b, a bet multiplies the stake by `q / b` when the event occurs and by `(1 − q) / (1 − b)`
when it does not, for some `q > b`: on average it wins nothing. The stakes follow `R ← (R + 1) · factor`, one unit being
bet anew with each image (Shiryaev and Roberts), and their mean is an e-detector (Shin, Ramdas and Rinaldo 2023, arXiv
2203.03532): `R − images` is a supermartingale, hence the first image at which R reaches c comes, on average, after at
least c clean images, whatever the clean distribution within the limits and however often one looks. It takes images for
independent: repeated ones are to be left out before.

Measured by `python tests/benchmarks/drift.py --runs 100` with c = 1,000,000, every run with a calibration set of its
own. False alarms on 100 runs of 1,000,000 clean images each, and images from the first attacked one until the alarm,
median (and 90 %), where a share of them has p-values spread up to 0.02; a dash is none within 20,000:

    calibration images        144             500             1,549            5,000
    false alarms              0               0               1                2
    2 % attacked              —               —               —                5,193 (8,591)
    5 %                       —               3,942 (8,423)   990 (1,631)      670 (1,080)
    10 %                      1,972 (3,397)   426 (604)       200 (368)        167 (303)
    20 %                      189 (282)       85 (143)        62 (88)          57 (84)
    50 %                      23 (40)         19 (31)         15 (25)          14 (21)
    100 %                     8 (8)           8 (8)           7 (7)            7 (7)

At most 2 false alarms, then, where 100 are allowed: the price of not knowing the shares, as is the blindness of a small
calibration set to weak drift.
"""

import dataclasses
import math
from bisect import bisect_right
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from service.errors import InputError

TAILS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Shares of the images, from either end, whose excess is bet on."""

ODDS = (1.3, 2.0, 5.0, 25.0)
"""What a bet supposes the odds of its event to be, times the odds at the limit: from weak drift to a flood."""

CALIBRATION_ERROR = 0.001
"""Share of calibration sets for which a limit may lie below the true share, and the promise does not hold."""

CEILING = 10.0
"""Evidence stops growing at this multiple of the threshold, so that the alarm ends when the drift does."""

CLEARING = 0.1
"""The alarm ends at this multiple of the threshold: the next false one is then no nearer than 0.9 of the first."""


@dataclasses.dataclass(frozen=True)
class Event:
    """A p-value in one tail.

    Attributes:
        rank: the event is `p · (n + 1) ≤ rank`, or for the upper tail `≥ rank`.
        limit: the most that its probability on clean images can credibly be.
    """

    rank: int
    is_upper: bool
    limit: float

    def holds(self, rank: int) -> bool:
        """Whether it occurs for the p-value `rank / (n + 1)`."""
        return rank >= self.rank if self.is_upper else rank <= self.rank


def tail_events(n_calibration: int, largest_tie: int = 1) -> tuple[Event, ...]:
    """The events that are bet on, with limits that hold at once for all but `CALIBRATION_ERROR` of calibration sets.

    Args:
        n_calibration: calibration images, n.
        largest_tie: most calibration images that share one score. Ties only ever raise p-values; the limits of the
            upper tails are raised with them.

    Raises:
        InputError: there is no calibration image.
    """
    if n_calibration < 1:
        raise InputError(f"drift needs the p-values of at least one calibration image, not of {n_calibration}")
    counts = sorted({math.floor(tail * (n_calibration + 1) + 1e-9) for tail in TAILS} - {0})
    error = CALIBRATION_ERROR / (2 * len(counts))
    raised = [min(count + (largest_tie if largest_tie > 1 else 0), n_calibration) for count in counts]
    lower = [Event(count, False, _limit(count, n_calibration, error)) for count in counts]
    upper = [
        Event(n_calibration + 2 - count, True, _limit(high, n_calibration, error))
        for count, high in zip(counts, raised, strict=True)
    ]
    return (*lower, *upper)


class DriftTest:
    """Watches one bundle's p-values. Not thread-safe.

    Args:
        n_calibration: the bundle's calibration images.
        average_false_alarms: clean images before a false alarm, on average at least.
        largest_tie: see `tail_events`.
    """

    def __init__(self, n_calibration: int, average_false_alarms: float, largest_tie: int = 1) -> None:
        events = tail_events(n_calibration, largest_tie)
        self.n_images = 0
        self.is_alarmed = False
        self.threshold = average_false_alarms
        self._n_ranks = n_calibration + 1
        # Between two borders every rank has the same factors.
        self._borders = sorted({event.rank if event.is_upper else event.rank + 1 for event in events})
        self._factors = [factors(events, rank) for rank in (0, *self._borders)]
        self._stakes: NDArray[np.float64] = np.zeros(len(events) * len(ODDS))

    @property
    def evidence(self) -> float:
        """log10 of what the bets have won, no less than 0; the alarm goes off at log10 of the threshold."""
        return math.log10(max(self._total(), 1.0))

    @property
    def log_threshold(self) -> float:
        """The evidence at which the alarm goes off."""
        return math.log10(self.threshold)

    def update(self, p_values: Iterable[float]) -> None:
        """Take in the p-values of images that came in this order; those of undecided images are left out before."""
        for p_value in p_values:
            factor = self._factors[bisect_right(self._borders, round(p_value * self._n_ranks))]
            self._stakes += 1.0
            self._stakes *= factor
            self.n_images += 1
            self._judge()

    def _judge(self) -> None:
        total = self._total()
        if total > CEILING * self.threshold:
            # Whatever takes money away leaves a supermartingale one.
            self._stakes *= CEILING * self.threshold / total
        self.is_alarmed = total >= self.threshold * (CLEARING if self.is_alarmed else 1.0)

    def _total(self) -> float:
        return float(self._stakes.sum()) / len(self._stakes)


def factors(events: Iterable[Event], rank: int) -> NDArray[np.float64]:
    """What the p-value `rank / (n + 1)` multiplies each stake by, one for each event and odds, shape (bet,)."""
    return np.array([_factor(event.limit, odds, event.holds(rank)) for event in events for odds in ODDS])


def _factor(limit: float, odds: float, has_occurred: bool) -> float:
    supposed = odds * limit / (1 - limit + odds * limit)
    return supposed / limit if has_occurred else (1 - supposed) / (1 - limit)


def _limit(count: int, n_calibration: int, error: float) -> float:
    """The `1 − error` quantile of Beta(count, n + 1 − count)."""
    return float(betaincinv(count, n_calibration + 1 - count, 1 - error))
