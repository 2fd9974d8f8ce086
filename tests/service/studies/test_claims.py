import numpy as np
import pytest

from detector.evaluation.metrics import Estimate
from service.studies.claims import (
    all_of,
    as_data,
    bootstrap,
    figure_text,
    is_above,
    is_below,
    mean_estimate,
    share_estimate,
    share_text,
)

ESTIMATE = Estimate(0.5, 0.25, 0.75)


@pytest.mark.parametrize(("level", "verdict"), [(0.2, True), (0.8, False), (0.5, None), (0.25, None), (0.75, None)])
def test_only_an_interval_that_keeps_clear_of_the_level_settles_a_claim(level, verdict):
    assert is_above(ESTIMATE, level) is verdict
    assert is_below(ESTIMATE, level) is (None if verdict is None else not verdict)


def test_without_a_figure_nothing_is_settled():
    assert is_above(None, 0) is None
    assert is_below(None, 0) is None
    assert share_estimate(0, 0) is None
    assert as_data(None) is None
    assert (figure_text(None), share_text(None)) == ("no figure", "none")


@pytest.mark.parametrize(
    ("verdicts", "together"),
    [([True, True], True), ([True, None], None), ([None, False, True], False), ([], None)],
)
def test_one_counterexample_settles_a_claim_about_all(verdicts, together):
    assert all_of(verdicts) is together


def test_the_interval_of_a_constant_is_that_constant():
    assert mean_estimate(np.full(5, 3.0), seed=0) == Estimate(3.0, 3.0, 3.0)


def test_a_mean_leaves_out_what_is_no_number():
    found = mean_estimate(np.array([1.0, np.nan, 3.0, np.inf, 1.0, 3.0, 1.0, 3.0]), seed=0)
    assert found is not None
    assert found.value == 2.0
    assert 1.0 <= found.lower < 2.0 < found.upper <= 3.0


def test_a_few_rows_have_a_figure_that_settles_nothing():
    found = mean_estimate(np.array([1.0, 1.0, 1.0, 1.0]), seed=0)
    assert found == Estimate(1.0, -np.inf, np.inf)
    assert is_above(found, 0) is None
    assert figure_text(found) == "1 (too few for an interval)"


def test_one_row_has_no_interval():
    assert mean_estimate(np.array([1.0, np.nan]), seed=0) is None


def test_the_interval_of_a_mean_is_about_two_standard_errors_wide():
    values = np.random.default_rng(1).normal(size=400)
    found = mean_estimate(values, seed=0)
    assert found is not None
    assert found.upper - found.lower == pytest.approx(4 / 20, rel=0.15)
    assert found == mean_estimate(values, seed=0)


def test_resamples_without_the_statistic_are_left_out():
    found = bootstrap(lambda drawn: 0.5 if 0 in drawn else np.nan, 5, seed=0)
    assert found == Estimate(0.5, 0.5, 0.5)


def test_figures_are_read_with_their_interval():
    assert figure_text(Estimate(-0.5, -0.75, 0.25), " %") == "−0.5 % (−0.75 to 0.25)"
    assert share_text(Estimate(0.912, 0.84, 0.954)) == "91 % (84 to 95)"
