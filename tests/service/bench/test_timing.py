import pytest

from detector.types import no_progress
from service.bench import timing
from service.bench.timing import Timing, alternate, lasting, median_ratio, spread_of
from service.errors import InputError


class Clock:
    """Stands still between the acts, each of which takes what it is told."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        self.log = []
        monkeypatch.setattr(timing.time, "perf_counter", lambda: self.now)

    def act(self, name, seconds):
        def run():
            self.log.append(name)
            self.now += seconds

        return run


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_every_contender_is_warmed_up_and_every_other_round_goes_backwards(clock):
    alternate({name: clock.act(name, 1) for name in "abc"}, 3, no_progress)
    assert "".join(clock.log) == "abc" + "abc" + "cba" + "abc"


def test_seconds_are_those_of_the_act_and_the_warm_up_does_not_count(clock):
    found = alternate({"quick": clock.act("quick", 1), "slow": clock.act("slow", 4)}, 2, no_progress)
    assert found == {"quick": (1.0, 1.0), "slow": (4.0, 4.0)}


def test_progress_ends_where_the_work_does(clock):
    heard = []
    alternate({name: clock.act(name, 1) for name in "ab"}, 2, lambda *said: heard.append(said[1:]))
    assert heard == [(done, 6) for done in range(1, 7)]


def test_no_round_is_refused_before_anything_runs(clock):
    with pytest.raises(InputError, match="--rounds 1 or more"):
        alternate({"a": clock.act("a", 1)}, 0, no_progress)
    assert clock.log == []


def test_a_ratio_is_taken_within_a_round_so_that_a_slow_round_leaves_it_alone():
    # Everything took ten times as long in the second round.
    assert median_ratio((3.0, 30.0, 3.0), (1.0, 10.0, 1.0)) == 3


def test_images_per_second_are_the_median_of_the_rounds():
    found = Timing(seconds=(1.0, 2.0, 8.0), n_images=10)
    assert found.images_per_second == 5
    assert found.milliseconds_per_image == 200


@pytest.mark.parametrize(
    ("seconds", "spread"),
    [((2.0,), None), ((3.0, 3.0, 3.0), 0), ((1.0, 2.0, 3.0, 4.0, 5.0), 2 / 3)],
)
def test_spread_is_the_interquartile_range_over_the_median(seconds, spread):
    assert spread_of(seconds) == (spread if spread is None else pytest.approx(spread))


@pytest.mark.parametrize(("seconds", "repeats"), [(0.1, 10), (0.3, 4), (5.0, 1)])
def test_a_quick_act_is_repeated_until_it_lasts(clock, seconds, repeats):
    act = lasting(clock.act("a", seconds), shortest=1.0)
    assert act.n_repeats == repeats
    clock.log.clear()
    act()
    assert len(clock.log) == repeats
