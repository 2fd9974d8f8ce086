"""Figures of detection quality, each with the interval that its sample size leaves open."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray
from scipy.stats import binomtest, rankdata

Scores = Float64[ndarray, " image"]


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval."""

    value: float
    lower: float
    upper: float


def auroc(clean: Float64[ndarray, " clean"], attacked: Float64[ndarray, " attacked"]) -> float:
    """Share of (clean, attacked) pairs in which the attacked image scores higher; ties count half."""
    n_clean, n_attacked = len(clean), len(attacked)
    ranks = rankdata(np.concatenate([clean, attacked]))
    return float((ranks[n_clean:].sum() - n_attacked * (n_attacked + 1) / 2) / (n_clean * n_attacked))


def auroc_estimate(
    clean: Float64[ndarray, " clean"], attacked: Float64[ndarray, " attacked"], seed: int, n_resamples: int = 300
) -> Estimate:
    """AUROC with a percentile bootstrap over clean and attacked images apart."""
    random = np.random.default_rng(seed)
    resampled = [
        auroc(random.choice(clean, len(clean)), random.choice(attacked, len(attacked))) for _ in range(n_resamples)
    ]
    lower, upper = np.quantile(resampled, [0.025, 0.975])
    return Estimate(auroc(clean, attacked), float(lower), float(upper))


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorstCase:
    """An attacker who tries every attack on an image and sends the one that shows least.

    Attributes:
        auroc: of the lowest score of each source image, against clean images.
        tpr: share of source images whose every successful attack is flagged, by nominal false-positive rate.
        n: source images that some attack succeeded on.
    """

    auroc: Estimate
    tpr: Mapping[float, Estimate]
    n: int


def worst_case(
    clean: Float64[ndarray, " clean"],
    sources: Int64[ndarray, " attacked"],
    scores: Float64[ndarray, " attacked"],
    p_values: Float64[ndarray, " attacked"],
    *,
    rates: Sequence[float],
    seed: int,
) -> WorstCase | None:
    """Judge the successes of all attacks together, source image by source image (Granese et al. 2022, MEAD).

    The bootstrap resamples source images, not attacked ones. None where no attack succeeded.
    """
    found, of_source = np.unique(sources, return_inverse=True)
    if len(found) == 0:
        return None
    lowest, largest_p = np.full(len(found), np.inf), np.zeros(len(found))
    np.minimum.at(lowest, of_source, scores)
    np.maximum.at(largest_p, of_source, p_values)
    return WorstCase(
        auroc=auroc_estimate(clean, lowest, seed),
        tpr={rate: rate_estimate(int((largest_p <= rate).sum()), len(found)) for rate in rates},
        n=len(found),
    )


def rate_estimate(n_hits: int, n: int) -> Estimate:
    """A share with its exact binomial interval (Clopper & Pearson 1934)."""
    interval = binomtest(n_hits, n).proportion_ci()
    return Estimate(n_hits / n, float(interval.low), float(interval.high))


def is_within_binomial(n_hits: int, n: int, rate: float) -> bool:
    """Whether so many hits lie in the central 95 % of what the rate alone would give."""
    return bool(binomtest(n_hits, n, rate).pvalue >= 0.05)
