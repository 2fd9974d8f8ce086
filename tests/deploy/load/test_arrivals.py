import itertools
import random
import statistics

import pytest
from isthmus_load.arrivals import evenly, poisson


def test_strangers_come_at_the_rate_asked_for_and_their_gaps_are_exponential():
    moments = poisson(per_second=100, seconds=100, generator=random.Random(1))
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    # 10,000 expected, standard deviation 100.
    assert abs(len(moments) - 10_000) < 400
    assert statistics.mean(gaps) == pytest.approx(0.01, rel=0.04)
    # An exponential distribution's standard deviation is its mean, its median log 2 of it.
    assert statistics.stdev(gaps) == pytest.approx(0.01, rel=0.05)
    assert statistics.median(gaps) == pytest.approx(0.00693, rel=0.05)
    assert abs(statistics.correlation(gaps[:-1], gaps[1:])) < 0.04


def test_moments_rise_and_lie_within_the_time_asked_for():
    moments = poisson(per_second=50, seconds=4, generator=random.Random(2))
    assert moments == sorted(moments)
    assert moments[0] > 0
    assert moments[-1] < 4


def test_one_seed_gives_one_schedule():
    first, again, other = (
        poisson(per_second=5, seconds=10, generator=random.Random(seed)) for seed in ("0, 2.0", "0, 2.0", "0, 1.0")
    )
    assert first == again != other


def test_even_moments_are_equally_far_apart():
    assert evenly(per_second=4, seconds=1) == [0, 0.25, 0.5, 0.75]
