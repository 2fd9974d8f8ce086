"""When a claim counts as agreed with: by the interval that the sample leaves open, never by a figure alone."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int64
from numpy import ndarray

from detector.evaluation.metrics import Estimate, rate_estimate

Statistic = Callable[[Int64[ndarray, " draw"]], float]
"""Of the rows with these indices, one number."""

N_RESAMPLES = 500

FEWEST = 5
"""Rows below which resampling leaves out most of what could have come, so that a figure has no interval."""


def bootstrap(statistic: Statistic, n: int, seed: int) -> Estimate | None:
    """A statistic of n rows with its 95 % percentile interval, which is endless where there are too few rows.

    Resamples in which the statistic does not exist (NaN) are left out; it is None where there is no statistic at all.
    """
    value = statistic(np.arange(n)) if n > 1 else np.nan
    if not np.isfinite(value):
        return None
    random = np.random.default_rng(seed)
    resampled = [statistic(random.integers(0, n, n)) for _ in range(N_RESAMPLES if n >= FEWEST else 0)]
    found = [value for value in resampled if np.isfinite(value)]
    if not found:
        return Estimate(value, -np.inf, np.inf)
    lower, upper = np.quantile(found, [0.025, 0.975])
    return Estimate(value, float(lower), float(upper))


def mean_estimate(values: Float[ndarray, " value"], seed: int) -> Estimate | None:
    """Mean of the finite values."""
    finite = values[np.isfinite(values)]
    return bootstrap(lambda drawn: float(finite[drawn].mean()), len(finite), seed)


def share_estimate(n_hits: int, n: int) -> Estimate | None:
    """A share; None of nothing."""
    return rate_estimate(n_hits, n) if n else None


def is_above(estimate: Estimate | None, level: float) -> bool | None:
    """Whether the figure lies above the level; None where its interval holds the level, or there is no figure."""
    if estimate is None or estimate.lower <= level <= estimate.upper:
        return None
    return estimate.lower > level


def is_below(estimate: Estimate | None, level: float) -> bool | None:
    """Whether the figure lies below the level; None where its interval holds the level, or there is no figure."""
    found = is_above(estimate, level)
    return None if found is None else not found


def all_of(verdicts: list[bool | None]) -> bool | None:
    """Whether every one agrees; one that disagrees settles it, one that is undecided leaves it open otherwise."""
    if False in verdicts:
        return False
    return True if verdicts and None not in verdicts else None


def figure_text(estimate: Estimate | None, unit: str = "") -> str:
    """E.g. "0.912 (0.88 to 0.94)"."""
    if estimate is None:
        return "no figure"
    value, lower, upper = (f"{number:.3g}".replace("-", "−") for number in _ends(estimate))
    if not np.isfinite(estimate.lower):
        return f"{value}{unit} (too few for an interval)"
    return f"{value}{unit} ({lower} to {upper})"


def share_text(estimate: Estimate | None) -> str:
    """E.g. "91 % (84 to 95)"."""
    if estimate is None:
        return "none"
    value, lower, upper = (f"{100 * number:.0f}" for number in _ends(estimate))
    return f"{value} % ({lower} to {upper})"


def as_data(estimate: Estimate | None) -> dict[str, float] | None:
    """The figure and its interval, for JSON."""
    if estimate is None:
        return None
    return dict(zip(("value", "lower", "upper"), _ends(estimate), strict=True))


def _ends(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.value, estimate.lower, estimate.upper
