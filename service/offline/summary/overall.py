"""How many images are flagged, whether that is more than clean ones give, and which stand out among so many."""

import dataclasses
import math

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from detector.evaluation.metrics import rate_estimate
from detector.multiple_testing import (
    clean_range,
    discovery_threshold,
    excess_probabilities,
    fewest_at_smallest,
    q_values,
)
from service.offline.summary.parts import Share
from service.offline.summary.queries import Results
from service.offline.summary.summary_types import Bin, CleanComparison, Counts, Discoveries, Standing

N_BINS = 20


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PValueCounts:
    """How many images have each p-value: distinct ones, ascending."""

    p_values: Float64[ndarray, " value"]
    counts: Int64[ndarray, " value"]

    @property
    def n_tested(self) -> int:
        """Images that have any."""
        return int(self.counts.sum())


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Candidates:
    """The p-values of adversarial images, which alone may be discovered, each with the rate that lists it."""

    p_values: Float64[ndarray, " value"]
    counts: Int64[ndarray, " value"]
    q_values: Float64[ndarray, " value"]
    n_tested: int

    @classmethod
    def of(cls, found: PValueCounts, false_positive_rate: float | None) -> "Candidates":
        """Those up to the rate that images were judged at; none where none was judged."""
        is_flagged = found.p_values <= (0.0 if false_positive_rate is None else false_positive_rate)
        p_values, counts = found.p_values[is_flagged], found.counts[is_flagged]
        rates = q_values(p_values, counts, found.n_tested)
        return cls(p_values=p_values, counts=counts, q_values=rates, n_tested=found.n_tested)


def share(n: int, of: int) -> Share:
    """A share with its interval, where it is one of anything."""
    if of == 0:
        return Share(n=n, of=of, value=None, lower=None, upper=None)
    estimate = rate_estimate(n, of)
    return Share(n=n, of=of, value=estimate.value, lower=estimate.lower, upper=estimate.upper)


def count_images(results: Results) -> Counts:
    """Images by what became of them."""
    (row,) = results.rows(
        """SELECT count(*) AS n_images, count(*) FILTER (is_judged AND decision = 'clean') AS n_clean,
               count(*) FILTER (is_adversarial) AS n_adversarial,
               count(*) FILTER (is_judged AND decision = 'undecided') AS n_undecided,
               count(*) FILTER (NOT is_judged) AS n_unreadable,
               count(*) FILTER (outcome = 'left_early') AS n_left_early
           FROM images"""
    )
    return Counts(**row)


def false_positive_rate_of(results: Results) -> float | None:
    """The rate that images were judged at; None where none was."""
    (row,) = results.rows("SELECT max(false_positive_rate) AS rate FROM images WHERE is_judged")
    return None if row["rate"] is None else float(row["rate"])


def count_p_values(results: Results) -> PValueCounts:
    """Those of all decided images; no more than the calibration images allow."""
    rows = results.rows("SELECT p_value, count(*) AS n FROM images WHERE is_decided GROUP BY p_value ORDER BY p_value")
    return PValueCounts(
        p_values=np.array([row["p_value"] for row in rows], np.float64),
        counts=np.array([row["n"] for row in rows], np.int64),
    )


def histogram(found: PValueCounts, n_calibration: int) -> tuple[Bin, ...]:
    """Counts of p-values in bins of equal width, beside those of so many clean images.

    Clean ones have each of the `n_calibration + 1` possible p-values equally often; where these are few, bins differ in
    how many of them they hold.
    """
    possible = np.arange(1, n_calibration + 2) / (n_calibration + 1)
    n_possible = np.bincount(_bins(possible), minlength=N_BINS)
    counts = np.bincount(_bins(found.p_values), weights=found.counts, minlength=N_BINS)
    expected = found.n_tested * n_possible / (n_calibration + 1)
    return tuple(
        Bin(lower=number / N_BINS, upper=(number + 1) / N_BINS, n=int(counts[number]), expected=float(expected[number]))
        for number in range(N_BINS)
    )


def _bins(p_values: Float64[ndarray, " value"]) -> Int64[ndarray, " value"]:
    # 0.15 · 20 is more than 3 in binary.
    numbers = np.ceil(p_values * N_BINS - 1e-9).astype(np.int64) - 1
    return np.asarray(numbers.clip(0, N_BINS - 1))


def discoveries(found: Candidates, n_calibration: int, false_discovery_rate: float) -> Discoveries:
    """What stands out at the rate, and what would have to happen for anything to."""
    threshold = discovery_threshold(found.p_values, found.counts, found.n_tested, false_discovery_rate)
    smallest = 1 / (n_calibration + 1)
    limit = 0.0 if threshold is None else threshold
    return Discoveries(
        false_discovery_rate=false_discovery_rate,
        n_tested=found.n_tested,
        threshold=threshold,
        n=int(found.counts[found.p_values <= limit].sum()),
        n_expected_false=found.n_tested * limit,
        smallest_p_value=smallest,
        n_at_smallest=int(found.counts[found.p_values <= smallest * (1 + 1e-9)].sum()),
        n_needed=fewest_at_smallest(found.n_tested, n_calibration, false_discovery_rate),
    )


def compare_with_clean(results: Results, counts: Counts, n_calibration: int, rate: float) -> CleanComparison | None:
    """Whether there are more adversarial images than clean ones alone would give; copies count once.

    The table `copies` must be there.
    """
    (surplus,) = results.rows(
        """SELECT coalesce(sum(greatest(n_decided - 1, 0)), 0)::BIGINT AS n_decided,
               coalesce(sum(greatest(n_adversarial - 1, 0)), 0)::BIGINT AS n_adversarial
           FROM copies"""
    )
    n = counts.n_decided - surplus["n_decided"]
    n_adversarial = counts.n_adversarial - surplus["n_adversarial"]
    if n == 0:
        return None
    lowest, highest = clean_range(n, n_calibration, rate)
    probability = excess_probabilities(np.array([n_adversarial]), np.array([n]), n_calibration, rate)
    return CleanComparison(
        adversarial=share(n_adversarial, n),
        false_positive_rate=rate,
        lowest=lowest / n,
        highest=highest / n,
        standing=_standing(n_adversarial, lowest, highest),
        probability=float(probability[0]) if math.isfinite(probability[0]) else 0.0,
    )


def _standing(n: int, lowest: int, highest: int) -> Standing:
    if n > highest:
        return Standing.ABOVE
    return Standing.BELOW if n < lowest else Standing.WITHIN
