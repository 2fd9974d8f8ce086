import math

import pytest

from service.engine.rates import Pace, RateMeter


def metered(*events):
    meter = RateMeter()
    for now, n in events:
        meter.add(n, now)
    return meter


def test_nothing_done_is_no_rate():
    assert RateMeter().per_second(5.0) == 0


def test_a_steady_rate_is_measured():
    meter = metered(*((step / 10, 7) for step in range(300)))
    assert meter.per_second(30.0) == pytest.approx(70, rel=0.11)


def test_a_young_rate_is_over_the_time_there_was():
    assert metered((0.0, 10), (1.0, 10), (2.0, 10)).per_second(2.0) == pytest.approx(15)


def test_what_is_long_ago_is_forgotten():
    assert metered((0.0, 10_000), (50.0, 10)).per_second(50.0) == pytest.approx(1.0)
    assert metered((0.0, 10_000)).per_second(50.0) == 0


def test_it_keeps_a_handful_of_numbers():
    meter = metered(*((step / 1000, 1) for step in range(20_000)))
    assert len(meter._seconds) <= 12


def test_a_pace_that_nothing_is_known_of_sets_no_bound():
    assert Pace().images_in(1.0) == math.inf


def test_a_steady_pace_is_measured():
    pace = Pace()
    for _ in range(5):
        pace.add(10, 0.5)
    assert pace.images_in(8.0) == pytest.approx(160)


def test_a_new_pace_replaces_the_old_one_within_some_steps():
    pace = Pace()
    for seconds in (*[1.0] * 50, *[0.1] * 50):
        pace.add(10, seconds)
    assert pace.images_in(1.0) == pytest.approx(100, rel=0.05)
