"""Many p-values of one calibration set at once: which images to look at, and whether there are too many of them.

With a million clean images, one in twenty is flagged at 5 %. Benjamini & Hochberg (1995) choose the images so that of
those chosen no more than a given share is clean, on average. They ask for p-values that are independent or, as is
enough (Benjamini & Yekutieli 2001), positively dependent on one another; conformal ones, which share their calibration
images, are (Bates et al. 2023, arXiv 2104.08279, theorem 2). The average is over calibration sets as well as over
images: of one calibration set the share may be higher or lower, the less so the more images it has.

How many of N clean images are flagged depends on both in the same way. Where every order of the n calibration scores
and the N others is equally likely and none are tied, the number with `p ≤ k / (n + 1)` is at least x exactly when fewer
than k of the x + k − 1 highest scores are of calibration images; so its law is a sum of hypergeometric terms, the
beta-binomial one of k and n + 1 − k (Vovk 2012). Calibration scores that are tied only raise p-values.

Figures of the shares among the chosen: `tests/detector/test_multiple_testing.py` simulates them.
"""

import math

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray
from scipy.special import gammaln, logsumexp

from detector.conformal import require_images
from detector.types import CalibrationError

RANGE = 0.95
"""Probability of `clean_range`; the rest is divided evenly."""

_TERMS_AT_ONCE = 2**20


def q_values(
    p_values: Float64[ndarray, " value"], counts: Int64[ndarray, " value"], n_tested: int
) -> Float64[ndarray, " value"]:
    """The lowest false-discovery rate at which each p-value is among the discoveries (Benjamini & Hochberg 1995).

    Those that may be discovered can be limited beforehand to the p-values up to a bound, such as those of flagged
    images: the list is then the longest within it, and the rate is kept (Blanchard & Roquain 2008, arXiv 0802.1406,
    whose condition of self-consistency that meets).

    Args:
        p_values: distinct ones that may be discovered, ascending, none left out below the last; n calibration images
            give no more than n + 1 of them.
        counts: how many images have each, so that a billion images take no more memory than a thousand.
        n_tested: images that have any p-value.
    """
    if len(p_values) == 0:
        return p_values
    rates = p_values * n_tested / counts.cumsum()
    return np.minimum(np.minimum.accumulate(rates[::-1])[::-1], 1.0)


def discovery_threshold(
    p_values: Float64[ndarray, " value"], counts: Int64[ndarray, " value"], n_tested: int, false_discovery_rate: float
) -> float | None:
    """The largest p-value among the discoveries; None where there are none.

    Args:
        p_values, counts, n_tested: as `q_values` takes them.

    Raises:
        CalibrationError: the rate does not lie between 0 and 1.
    """
    _require_rate(false_discovery_rate)
    found = p_values[is_discovery(q_values(p_values, counts, n_tested), false_discovery_rate)]
    return float(found[-1]) if len(found) else None


def is_discovery(rates: Float64[ndarray, " value"], false_discovery_rate: float) -> np.ndarray:
    """Which q-values lie within the rate. A q-value that equals it on paper may exceed it in its last binary digit."""
    return np.asarray(rates <= false_discovery_rate * (1 + 1e-12))


def fewest_at_smallest(n_images: int, n_calibration: int, false_discovery_rate: float) -> int:
    """Images that must share the smallest possible p-value, `1 / (n_calibration + 1)`, to be discoveries by themselves.

    Raises:
        CalibrationError: the rate does not lie between 0 and 1.
    """
    _require_rate(false_discovery_rate)
    return max(1, math.ceil(n_images / (n_calibration + 1) / false_discovery_rate * (1 - 1e-12)))


def excess_probabilities(
    n_flagged: Int64[ndarray, " group"],
    n_images: Int64[ndarray, " group"],
    n_calibration: int,
    false_positive_rate: float,
) -> Float64[ndarray, " group"]:
    """Probability that, of so many clean images, at least so many are flagged at the rate.

    Raises:
        CalibrationError: so few calibration images cannot support the rate.
    """
    require_images(n_calibration, false_positive_rate)
    rank = math.floor(false_positive_rate * (n_calibration + 1) + 1e-9)
    n_at_once = max(1, _TERMS_AT_ONCE // rank)
    parts = [
        _excess(n_flagged[start : start + n_at_once], n_images[start : start + n_at_once], n_calibration, rank)
        for start in range(0, len(n_flagged), n_at_once)
    ]
    return np.concatenate([np.zeros(0), *parts])


def clean_range(n_images: int, n_calibration: int, false_positive_rate: float) -> tuple[int, int]:
    """Fewest and most of so many clean images that are flagged, in all but 2.5 % of draws at either end.

    A draw is one of calibration images and of the others: with ever more images the range of the share does not close.

    Raises:
        CalibrationError: so few calibration images cannot support the rate.
    """
    tail = (1 - RANGE) / 2
    lowest, highest = (_quantile(share, n_images, n_calibration, false_positive_rate) for share in (tail, 1 - tail))
    return lowest, highest


def _quantile(share: float, n_images: int, n_calibration: int, false_positive_rate: float) -> int:
    """The smallest number that is not exceeded with this probability."""
    below, found = -1, n_images
    while found - below > 1:
        middle = (found + below) // 2
        more = excess_probabilities(np.array([middle + 1]), np.array([n_images]), n_calibration, false_positive_rate)
        below, found = (below, middle) if 1 - more[0] >= share else (middle, found)
    return found


def _excess(
    n_flagged: Int64[ndarray, " group"], n_images: Int64[ndarray, " group"], n_calibration: int, rank: int
) -> Float64[ndarray, " group"]:
    """Probability that fewer than `rank` of the `n_flagged + rank − 1` highest scores are of calibration images."""
    n_highest = n_flagged + rank - 1
    n_of_calibration = np.arange(rank)
    n_others = n_highest[:, None] - n_of_calibration
    terms = np.where(
        n_others <= n_images[:, None],
        _log_choices(np.array(n_calibration), n_of_calibration)
        + _log_choices(n_images[:, None], np.minimum(n_others, n_images[:, None]))
        - _log_choices(n_images + n_calibration, np.minimum(n_highest, n_images + n_calibration))[:, None],
        -np.inf,
    )
    # More than all images are never flagged, and no less than none.
    found = np.where(n_flagged > n_images, 0.0, np.exp(np.minimum(logsumexp(terms, axis=1), 0.0)))
    return np.where(n_flagged <= 0, 1.0, found)


def _log_choices(n: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Logarithm of the ways to choose so many of n."""
    return np.asarray(gammaln(n + 1.0) - gammaln(chosen + 1.0) - gammaln(n - chosen + 1.0))


def _require_rate(false_discovery_rate: float) -> None:
    if not 0 < false_discovery_rate < 1:
        raise CalibrationError(f"the false-discovery rate must lie between 0 and 1, not {false_discovery_rate}")
