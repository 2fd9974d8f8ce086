import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from detector.evaluation.metrics import auroc, auroc_estimate, is_within_binomial, rate_estimate, worst_case

# Few distinct values, so that ties happen.
SCORES = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=20).map(np.array)


@given(clean=SCORES, attacked=SCORES)
def test_auroc_is_that_of_scikit_learn(clean: np.ndarray, attacked: np.ndarray) -> None:
    truth = np.repeat([0, 1], [len(clean), len(attacked)])
    assert auroc(clean, attacked) == pytest.approx(roc_auc_score(truth, np.concatenate([clean, attacked])))


def test_auroc_counts_pairs() -> None:
    # Of the four pairs two are right and one is tied.
    assert auroc(np.array([1.0, 3.0]), np.array([2.0, 3.0])) == (1 + 1 + 0.5) / 4


def test_an_infinite_score_is_higher_than_all() -> None:
    assert auroc(np.array([1.0, 2.0]), np.array([np.inf])) == 1.0


def test_the_interval_of_an_auroc_holds_it_and_comes_from_its_seed() -> None:
    random = np.random.default_rng(0)
    clean, attacked = random.normal(size=200), random.normal(1, size=200)
    found = auroc_estimate(clean, attacked, seed=3)
    # Unit normals one apart: Φ(1/√2) = 0.760, with a standard error of about 0.024.
    assert found.lower < 0.760 < found.upper
    assert found.lower < found.value < found.upper
    assert 0.06 < found.upper - found.lower < 0.13
    assert found == auroc_estimate(clean, attacked, seed=3) != auroc_estimate(clean, attacked, seed=4)


@pytest.mark.parametrize(
    ("n_hits", "n", "lower", "upper"),
    [
        # Exactly: with no hit, the upper end is 1 − 0.025^(1/n).
        (0, 10, 0.0, 0.308498),
        (10, 10, 0.691503, 1.0),
        (5, 10, 0.187086, 0.812914),
        (1, 100, 0.000253, 0.054459),
    ],
)
def test_shares_have_the_interval_of_clopper_and_pearson(n_hits: int, n: int, lower: float, upper: float) -> None:
    found = rate_estimate(n_hits, n)
    assert found.value == n_hits / n
    assert (found.lower, found.upper) == pytest.approx((lower, upper), abs=1e-5)


@pytest.mark.parametrize(
    ("n_hits", "expected"),
    # Of ten tosses, at most 1 or at least 9 heads have a probability of 22/1024 together; 2 or 8 raise it to 112/1024.
    [(0, False), (1, False), (2, True), (5, True), (8, True), (9, False), (10, False)],
)
def test_ten_tosses_of_a_coin_lie_within_two_and_eight(n_hits: int, expected: bool) -> None:
    assert is_within_binomial(n_hits, 10, 0.5) is expected


def test_the_worst_case_takes_of_each_source_the_attack_that_shows_least() -> None:
    # Source 7 was attacked three times and once missed; 2 was caught both times; 5 was attacked once and missed.
    found = worst_case(
        np.array([0.0, 1.0, 2.0, 3.0]),
        np.array([7, 2, 7, 5, 2, 7]),
        np.array([9.0, 9.0, 2.5, 0.5, 3.5, 9.0]),
        np.array([0.01, 0.01, 0.2, 0.9, 0.05, 0.01]),
        rates=(0.01, 0.05),
        seed=0,
    )
    assert found is not None
    assert found.n == 3
    # Lowest scores 2.5, 3.5 and 0.5 beat 3, 4 and 1 of the four clean ones.
    assert found.auroc.value == 8 / 12
    assert {rate: estimate.value for rate, estimate in found.tpr.items()} == {0.01: 0.0, 0.05: 1 / 3}


def test_the_worst_case_counts_images_and_not_attacks() -> None:
    clean, scores = np.arange(50.0), np.arange(50.0) + 10
    once = worst_case(clean, np.arange(50), scores, np.ones(50), rates=(0.05,), seed=0)
    thrice = worst_case(clean, np.tile(np.arange(50), 3), np.tile(scores, 3), np.ones(150), rates=(0.05,), seed=0)
    assert once == thrice


def test_without_a_success_there_is_no_worst_case() -> None:
    none = np.zeros(0)
    assert worst_case(np.ones(3), none.astype(np.int64), none, none, rates=(0.05,), seed=0) is None
