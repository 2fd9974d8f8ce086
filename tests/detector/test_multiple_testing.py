import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom, binom

from detector.multiple_testing import (
    clean_range,
    discovery_threshold,
    excess_probabilities,
    fewest_at_smallest,
    q_values,
)
from detector.types import CalibrationError


def counted(p_values: np.ndarray, largest: float = 1) -> tuple[np.ndarray, np.ndarray, int]:
    values, counts = np.unique(p_values[p_values <= largest], return_counts=True)
    return values, counts, len(p_values)


def discovered_by_rows(p_values: list[float], rate: float) -> int:
    """The step-up procedure as the paper has it, row by row."""
    ordered = sorted(p_values)
    passing = [row for row, p in enumerate(ordered, 1) if p <= row * rate / len(ordered)]
    return max(passing, default=0)


def test_the_example_of_benjamini_and_hochberg_has_four_discoveries() -> None:
    # Benjamini & Hochberg 1995, section 3.2: 15 comparisons of two treatments, at a rate of 0.05.
    p_values = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.324, 0.4262, 0.5719]
    p_values += [0.6528, 0.7590, 1.0]
    assert discovery_threshold(*counted(np.array(p_values)), 0.05) == 0.0095


@given(
    ranks=st.lists(st.integers(1, 20), min_size=1, max_size=60), rate=st.sampled_from([0.013, 0.051, 0.103, 0.31, 0.9])
)
def test_counts_of_distinct_values_give_what_rows_give(ranks: list[int], rate: float) -> None:
    p_values = [rank / 20 for rank in ranks]
    threshold = discovery_threshold(*counted(np.array(p_values)), rate)
    n_found = sum(p <= threshold for p in p_values) if threshold is not None else 0
    assert n_found == discovered_by_rows(p_values, rate)


def test_a_q_value_is_the_lowest_rate_that_discovers() -> None:
    values, counts = np.array([0.01, 0.02, 0.5, 1.0]), np.array([1, 1, 2, 4])
    # 0.01 · 8 / 1 is more than 0.02 · 8 / 2, so the first is discovered with the second.
    assert q_values(values, counts, 8).tolist() == pytest.approx([0.08, 0.08, 1.0, 1.0])
    assert discovery_threshold(values, counts, 8, 0.079) is None
    assert discovery_threshold(values, counts, 8, 0.081) == 0.02


def test_a_rate_that_is_met_exactly_on_paper_is_met() -> None:
    # 3 of 10 at 0.03 at the rate 0.1: in binary, 0.03 · 10 / 3 is 0.09999999999999999 or 0.1, and 0.07 · 10 / 7 above.
    for n_at in range(1, 10):
        values, counts = np.array([n_at / 100, 1.0]), np.array([n_at, 10 - n_at])
        assert discovery_threshold(values, counts, 10, 0.1) == n_at / 100


def test_nothing_is_discovered_among_no_images() -> None:
    nothing = np.zeros(0), np.zeros(0, np.int64), 0
    assert len(q_values(*nothing)) == 0
    assert discovery_threshold(*nothing, 0.1) is None


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, float("nan")])
def test_a_false_discovery_rate_outside_the_open_unit_interval_is_refused(rate: float) -> None:
    with pytest.raises(CalibrationError, match="false-discovery rate must lie between 0 and 1"):
        discovery_threshold(np.array([0.5]), np.array([1]), 1, rate)
    with pytest.raises(CalibrationError, match="false-discovery rate must lie between 0 and 1"):
        fewest_at_smallest(10, 9, rate)


@pytest.mark.parametrize(("n_images", "needed"), [(1_000_000, 10_000), (100, 1), (101, 2), (1, 1), (0, 1)])
def test_so_many_must_share_the_smallest_p_value_before_they_are_discovered(n_images: int, needed: int) -> None:
    # With 999 calibration images: n / 1,000 clean ones are expected there, and a tenth of the list may be clean.
    assert fewest_at_smallest(n_images, 999, 0.1) == needed
    if n_images > 1:
        for n_at, expected in ((needed, 0.001), (needed - 1, None)):
            counts = np.array([n_at, n_images - n_at])
            values = np.array([0.001, 1.0])[counts > 0]
            assert discovery_threshold(values, counts[counts > 0], n_images, 0.1) == expected


@pytest.mark.parametrize(
    ("n_images", "n_calibration", "rate"), [(1, 19, 0.05), (40, 39, 0.05), (300, 99, 0.3), (50, 146, 0.01), (7, 3, 0.9)]
)
def test_flagged_clean_images_follow_the_beta_binomial_law(n_images: int, n_calibration: int, rate: float) -> None:
    rank = int(rate * (n_calibration + 1) + 1e-9)
    law = betabinom(n_images, rank, n_calibration + 1 - rank)
    numbers = np.arange(n_images + 2)
    found = excess_probabilities(numbers, np.full_like(numbers, n_images), n_calibration, rate)
    assert found == pytest.approx(law.sf(numbers - 1), abs=1e-10)
    assert found[-1] == 0
    assert clean_range(n_images, n_calibration, rate) == (int(law.ppf(0.025)), int(law.ppf(0.975)))


def test_one_image_is_flagged_at_the_rate_whatever_the_number_of_calibration_images() -> None:
    assert excess_probabilities(np.array([1]), np.array([1]), 19, 0.05)[0] == pytest.approx(1 / 20)
    assert excess_probabilities(np.array([1]), np.array([1]), 28, 0.05)[0] == pytest.approx(1 / 29)


def test_the_range_of_a_billion_clean_images_is_that_of_the_calibration_set() -> None:
    # The share is then Beta(50, 950): mean 0.05, deviation √(0.05 · 0.95 / 1,001).
    lowest, highest = clean_range(1_000_000_000, 999, 0.05)
    assert lowest / 1e9 == pytest.approx(0.0374, abs=1e-4)
    assert highest / 1e9 == pytest.approx(0.0643, abs=1e-4)


def test_a_rate_that_the_calibration_images_cannot_support_is_refused() -> None:
    with pytest.raises(CalibrationError, match="at least 19 are needed"):
        clean_range(10, 18, 0.05)


def simulated_p_values(random: np.random.Generator, n_calibration: int, n_clean: int, n_attacked: int) -> np.ndarray:
    """Of clean images, then of attacked ones that score 4 deviations higher, with calibration images drawn anew."""
    calibration = np.sort(random.normal(size=n_calibration))
    scores = np.concatenate([random.normal(size=n_clean), random.normal(4, size=n_attacked)])
    n_above = n_calibration - np.searchsorted(calibration, scores)
    return (1 + n_above) / (n_calibration + 1)


def false_shares(
    n_draws: int, n_calibration: int, n_clean: int, n_attacked: int, rate: float, largest: float = 1
) -> np.ndarray:
    """Share of clean images on the list, 0 where it is empty, and share of attacked ones found; one row a draw."""
    random = np.random.default_rng(0)
    shares = []
    for _ in range(n_draws):
        p_values = simulated_p_values(random, n_calibration, n_clean, n_attacked)
        threshold = discovery_threshold(*counted(p_values, largest), rate)
        found = p_values <= (0 if threshold is None else threshold)
        shares.append([found[:n_clean].sum() / max(found.sum(), 1), found[n_clean:].sum() / max(n_attacked, 1)])
    return np.array(shares)


def bound_of_mean(values: np.ndarray) -> float:
    return 4 * float(values.std(ddof=1)) / len(values) ** 0.5


def test_among_clean_images_a_list_is_made_no_more_often_than_the_rate() -> None:
    false, _ = false_shares(1_000, 199, 100, 0, 0.2).T
    assert set(false.tolist()) == {0.0, 1.0}
    assert false.mean() <= 0.2 + bound_of_mean(false)


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_of_the_list_the_share_asked_for_is_clean_on_average_over_calibration_sets(rate: float) -> None:
    false, found = false_shares(600, 999, 800, 200, rate).T
    # Of p-values that are uniform, exactly the rate times the share of clean images; here they are 1 / (n + 1) apart.
    assert false.mean() == pytest.approx(0.8 * rate, abs=bound_of_mean(false) + 0.01 * rate)
    assert found.mean() > 0.9


def test_a_list_of_flagged_images_alone_keeps_the_rate_too() -> None:
    # Of 500 attacked among 1,000, the list at 0.3 would reach p-values of about 0.3; at 0.05 it ends.
    false, found = false_shares(300, 999, 500, 500, 0.3, largest=0.05).T
    assert false.mean() == pytest.approx(500 * 0.05 / (500 * 0.05 + 500 * found.mean()), abs=bound_of_mean(false))
    assert false.mean() < 0.3


def test_q_values_within_a_bound_are_those_of_the_lists_within_it() -> None:
    # All eight are listed with the second: 0.1 · 8 / 8; without it, 0.06 · 8 / 2.
    values, counts = np.array([0.06, 0.1]), np.array([2, 6])
    assert q_values(values, counts, 8).tolist() == pytest.approx([0.1, 0.1])
    assert q_values(values[:1], counts[:1], 8).tolist() == pytest.approx([0.24])


def test_without_the_correction_most_of_what_is_flagged_among_few_attacks_is_clean() -> None:
    random = np.random.default_rng(1)
    flagged = simulated_p_values(random, 999, 20_000, 200) <= 0.05
    assert flagged[:20_000].sum() > 0.75 * flagged.sum()


def test_the_range_holds_what_so_many_draws_of_clean_images_give() -> None:
    random = np.random.default_rng(2)
    n_flagged = np.array([(simulated_p_values(random, 199, 1_000, 0) <= 0.05).sum() for _ in range(1_500)])
    lowest, highest = clean_range(1_000, 199, 0.05)
    is_within = (n_flagged >= lowest) & (n_flagged <= highest)
    # Numbers are whole, so that it holds a little more than 95 %.
    assert is_within.mean() == pytest.approx(0.955, abs=0.02)
    # A binomial range takes the calibration images for infinitely many: 1.96 deviations there are 0.8 of these.
    low, high = binom.ppf([0.025, 0.975], 1_000, 0.05)
    assert ((n_flagged >= low) & (n_flagged <= high)).mean() < 0.65
