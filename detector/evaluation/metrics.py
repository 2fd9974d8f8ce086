"""Figures of detection quality, each with the interval that its sample size leaves open."""

import dataclasses

import numpy as np
from jaxtyping import Float64
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


def rate_estimate(n_hits: int, n: int) -> Estimate:
    """A share with its exact binomial interval (Clopper & Pearson 1934)."""
    interval = binomtest(n_hits, n).proportion_ci()
    return Estimate(n_hits / n, float(interval.low), float(interval.high))


def is_within_binomial(n_hits: int, n: int, rate: float) -> bool:
    """Whether so many hits lie in the central 95 % of what the rate alone would give."""
    return bool(binomtest(n_hits, n, rate).pvalue >= 0.05)
