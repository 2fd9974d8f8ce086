import math

import numpy as np
import pytest

from service.errors import InputError
from service.observability.drift import CALIBRATION_ERROR, CEILING, CLEARING, DriftTest, factors, tail_events


class Images:
    """Clean and attacked images before one drawn calibration set."""

    def __init__(self, n_calibration: int, seed: int) -> None:
        self.generator = np.random.default_rng(seed)
        self.n_calibration = n_calibration
        self.calibration = np.sort(self.generator.random(n_calibration))

    def clean(self, n_images: int) -> list[float]:
        ranks = 1 + np.searchsorted(self.calibration, self.generator.random(n_images))
        return (ranks / (self.n_calibration + 1)).tolist()

    def attacked(self, n_images: int, share: float) -> list[float]:
        return [
            float(self.generator.uniform(0, 0.02)) if self.generator.random() < share else p_value
            for p_value in self.clean(n_images)
        ]


def images_until_alarm(test: DriftTest, p_values: list[float]) -> int | None:
    for n_images, p_value in enumerate(p_values, start=1):
        test.update([p_value])
        if test.is_alarmed:
            return n_images
    return None


def test_the_limit_of_the_smallest_p_value_is_the_one_on_paper():
    # Beta(1, n) is the minimum of n uniform numbers: its 1 − e quantile is 1 − e^(1/n).
    for event in tail_events(1):
        assert event.limit == pytest.approx(1 - CALIBRATION_ERROR / 2)
    events = tail_events(30)
    error = CALIBRATION_ERROR / len(events)
    assert (events[0].rank, events[0].limit) == (1, pytest.approx(1 - error ** (1 / 30)))


def test_tails_that_no_p_value_can_reach_are_left_out():
    # With 30 images the smallest p-value is 1/31, more than 0.02.
    assert [event.rank for event in tail_events(30)] == [1, 3, 6, 15, 31, 29, 26, 17]


def test_both_tails_are_alike():
    events = tail_events(500)
    lower, upper = events[: len(events) // 2], events[len(events) // 2 :]
    for low, high in zip(lower, upper, strict=True):
        assert (low.limit, low.rank) == (high.limit, 502 - high.rank)


@pytest.mark.parametrize("n_calibration", [20, 144, 1549])
def test_no_clean_distribution_within_the_limits_lets_a_bet_win_on_average(n_calibration: int):
    events = tail_events(n_calibration)
    bets_per_event = len(factors(events, 1)) // len(events)
    for number, event in enumerate(events):
        bets = slice(number * bets_per_event, (number + 1) * bets_per_event)
        outside = 1 if event.is_upper else n_calibration + 1
        hit, miss = factors(events, event.rank)[bets], factors(events, outside)[bets]
        assert (hit > 1).all()
        assert (miss < 1).all()
        np.testing.assert_allclose(event.limit * hit + (1 - event.limit) * miss, 1, rtol=1e-9)


@pytest.mark.parametrize("n_calibration", [50, 500, 1549])
def test_the_limits_hold_for_all_but_one_in_a_thousand_calibration_sets(n_calibration: int):
    events, generator = tail_events(n_calibration), np.random.default_rng(n_calibration)
    n_sets = 10_000
    n_violated = 0
    for _ in range(n_sets // 1000):
        # The share of clean images of each p-value: the gaps between uniform numbers.
        gaps = generator.dirichlet(np.ones(n_calibration + 1), 1000).cumsum(1)
        shares = [1 - gaps[:, event.rank - 2] if event.is_upper else gaps[:, event.rank - 1] for event in events]
        above = np.stack([share > event.limit for share, event in zip(shares, events, strict=True)])
        n_violated += int(above.any(0).sum())
    # Ten are expected at most; more than twenty would be a coincidence of one in five hundred.
    assert 0 < n_violated <= 20


def test_false_alarms_are_rarer_than_promised():
    threshold, n_images = 300.0, 600
    alarms = [
        images_until_alarm(DriftTest(n_calibration, threshold), Images(n_calibration, seed).clean(n_images))
        for n_calibration in (144, 500, 1549)
        for seed in range(20)
    ]
    # Within twice the promised mean time all of them might have had one.
    assert sum(alarm is not None for alarm in alarms) <= 3


def test_the_mean_of_the_evidence_never_exceeds_the_number_of_images():
    # Where the shares of the lower tails are at their limits; what is won by chance is lost on average.
    n_calibration, n_images, n_runs = 500, 40, 800
    lower = [event for event in tail_events(n_calibration) if not event.is_upper]
    borders, limits = [event.rank for event in lower], [event.limit for event in lower]
    shares = np.random.default_rng(0).random((n_runs, n_images))
    positions = np.searchsorted(limits, shares)
    ranks = np.array([*borders, n_calibration // 2 + 10])[positions]
    totals = []
    for run in ranks:
        test = DriftTest(n_calibration, 1e9)
        test.update((run / (n_calibration + 1)).tolist())
        totals.append(10**test.evidence)
    assert 0.3 * n_images < np.mean(totals) < 1.1 * n_images


def test_clean_traffic_stays_silent_for_long():
    for n_calibration in (500, 1549):
        test = DriftTest(n_calibration, 1e6)
        assert images_until_alarm(test, Images(n_calibration, 1).clean(30_000)) is None
        assert test.n_images == 30_000


@pytest.mark.parametrize(("n_calibration", "share", "most"), [(500, 0.1, 900), (1549, 0.1, 500), (500, 0.5, 50)])
def test_attacked_images_set_the_alarm_off_soon(n_calibration: int, share: float, most: int):
    for seed in range(5):
        images = Images(n_calibration, seed)
        test = DriftTest(n_calibration, 1e6)
        test.update(images.clean(1000))
        assert not test.is_alarmed
        found = images_until_alarm(test, images.attacked(most, share))
        assert found is not None
        assert found > 5


def test_images_that_are_all_too_clean_set_it_off_too():
    test = DriftTest(500, 1e6)
    assert images_until_alarm(test, [0.97 + 0.01 * (number % 3) for number in range(100)]) is not None


def test_the_alarm_ends_with_the_drift_and_can_go_off_again():
    images = Images(1549, 3)
    test = DriftTest(1549, 1e6)
    test.update(images.attacked(3000, 0.3))
    assert test.is_alarmed
    assert test.evidence == pytest.approx(math.log10(CEILING * 1e6), abs=0.5)
    test.update(images.clean(1000))
    assert not test.is_alarmed
    assert test.evidence < math.log10(CLEARING * 1e6)
    assert images_until_alarm(test, images.attacked(500, 0.3)) is not None


def test_between_clearing_and_threshold_the_alarm_stays_as_it_was():
    test = DriftTest(99, 1000.0)
    while test.evidence < 2.5:
        test.update([0.3])
    assert not test.is_alarmed
    while test.evidence < 3:
        test.update([0.3])
    assert test.is_alarmed
    while test.evidence > 2.5:
        test.update([0.6])
    assert test.is_alarmed
    while test.evidence >= 2:
        test.update([0.6])
    assert not test.is_alarmed


def test_ties_among_calibration_scores_are_no_drift():
    # All scores are equal, those of clean images too, so every p-value is 1.
    tied, naive = DriftTest(500, 1e6, largest_tie=500), DriftTest(500, 1e6)
    for test in (tied, naive):
        test.update([1.0] * 1000)
    assert not tied.is_alarmed
    assert naive.is_alarmed


def test_no_calibration_image_is_refused():
    with pytest.raises(InputError, match="at least one"):
        DriftTest(0, 1e6)
