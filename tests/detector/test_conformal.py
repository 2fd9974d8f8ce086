import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from detector.conformal import ConformalScores, images_needed
from detector.types import CalibrationError

# Few distinct values, so that ties happen.
SCORES = st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=30)


@given(calibration=SCORES, scores=SCORES)
def test_p_values_are_what_counting_gives(calibration: list[float], scores: list[float]) -> None:
    expected = [(1 + sum(other >= score for other in calibration)) / (len(calibration) + 1) for score in scores]
    assert ConformalScores.of(torch.tensor(calibration)).p_values(torch.tensor(scores)).tolist() == expected


def test_a_score_above_all_has_the_smallest_p_value_there_is() -> None:
    conformal = ConformalScores.of(torch.arange(19.0))
    assert conformal.p_values(torch.tensor([100.0, torch.inf, -1.0])).tolist() == [1 / 20, 1 / 20, 1.0]


def test_scores_that_single_precision_tells_apart_are_told_apart() -> None:
    score = torch.tensor([1.0])
    above = torch.nextafter(score, torch.tensor([2.0]))
    assert ConformalScores.of(score).p_values(torch.cat([score, above])).tolist() == [1.0, 0.5]


@pytest.mark.parametrize(("rate", "needed"), [(0.05, 19), (0.01, 99), (0.5, 1), (0.9, 1), (0.3, 3), (0.001, 999)])
def test_a_rate_needs_one_over_it_minus_one_images(rate: float, needed: int) -> None:
    assert images_needed(rate) == needed
    ConformalScores.of(torch.zeros(needed)).require(rate)
    assert 1 / (needed + 1) <= rate


def test_a_rate_that_so_few_images_cannot_support_is_refused_with_the_number_needed() -> None:
    message = "18 clean calibration images cannot support a false-positive rate of 0.05; at least 19 are needed"
    with pytest.raises(CalibrationError, match=message):
        ConformalScores.of(torch.zeros(18)).require(0.05)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_rate_outside_the_open_unit_interval_is_refused(rate: float) -> None:
    with pytest.raises(CalibrationError, match="must lie between 0 and 1"):
        ConformalScores.of(torch.zeros(99)).require(rate)
    with pytest.raises(CalibrationError, match="must lie between 0 and 1"):
        images_needed(rate)


def test_scores_that_are_not_finite_are_refused() -> None:
    with pytest.raises(CalibrationError, match="2 of 3 calibration scores are not finite"):
        ConformalScores.of(torch.tensor([0.0, torch.nan, torch.inf]))


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
def test_the_rate_asked_for_is_the_rate_delivered(rate: float) -> None:
    """With n = 199 every rate here is a multiple of 1 / (n + 1), so that it is met exactly on average."""
    generator = torch.Generator().manual_seed(0)
    n_flagged = 0
    for _ in range(400):
        conformal = ConformalScores.of(torch.randn(199, generator=generator))
        n_flagged += int((conformal.p_values(torch.randn(100, generator=generator)) <= rate).sum())
    # Four standard deviations: calibration and test images both vary.
    deviation = (rate * (1 - rate) * (1 / 200 + 1 / 100) / 400) ** 0.5
    assert n_flagged / 40_000 == pytest.approx(rate, abs=4 * deviation)


def test_a_rate_whose_inverse_is_infinite_asks_for_more_images_than_there_can_be() -> None:
    with pytest.raises(CalibrationError, match="at least"):
        ConformalScores.of(torch.zeros(5)).require(5e-324)
