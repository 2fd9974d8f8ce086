import pytest

from detector.verdict import Decision
from service.observability.live import LATENCIES, SECONDS, LiveStatistics


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_rates_are_those_of_the_last_minute():
    clock = Clock()
    live = LiveStatistics(clock)
    for _ in range(200):
        clock.now += 1
        for decision in (Decision.CLEAN, Decision.CLEAN, Decision.CLEAN, Decision.ADVERSARIAL):
            live.judged(decision)
        live.rejected()
    clock.now += 0.999
    summary = live.summary()
    assert summary["verdicts"] == {"clean": 180, "adversarial": 60, "undecided": 0}
    assert summary["shares"] == {"clean": 0.75, "adversarial": 0.25, "undecided": 0.0}
    assert summary["images_per_second"] == pytest.approx(4, rel=1e-3)
    assert summary["rejected_per_second"] == pytest.approx(1, rel=1e-3)
    assert summary["images_by_second"] == [4] * (SECONDS - 1)


def test_what_is_older_than_a_minute_is_gone():
    clock = Clock()
    live = LiveStatistics(clock)
    live.judged(Decision.CLEAN)
    live.answered(0.1)
    clock.now += SECONDS
    summary = live.summary()
    assert summary["images_per_second"] == 0
    assert summary["shares"] == {"clean": None, "adversarial": None, "undecided": None}
    assert summary["latency_seconds"] == {"p50": None, "p99": None}


def test_a_server_that_has_just_started_divides_by_its_age():
    clock = Clock()
    live = LiveStatistics(clock)
    clock.now += 10
    for _ in range(50):
        live.judged(Decision.CLEAN)
    assert live.summary()["images_per_second"] == 5


def test_quantiles_are_at_most_a_tenth_too_high():
    live = LiveStatistics(Clock())
    for number in range(1, 1001):
        live.answered(number / 1000)
    latency = live.summary()["latency_seconds"]
    assert 0.5 <= latency["p50"] <= 0.55
    assert 0.99 <= latency["p99"] <= 1.09


def test_a_request_of_minutes_is_counted():
    live = LiveStatistics(Clock())
    live.answered(1e6)
    assert live.summary()["latency_seconds"]["p50"] == pytest.approx(LATENCIES[-1], rel=1e-6)


def test_it_does_not_grow():
    clock = Clock()
    live = LiveStatistics(clock)
    for number in range(20_000):
        clock.now += 0.05
        live.answered((number % 997) / 100)
    assert len(live._ring) == SECONDS
    assert all(len(second.latencies) <= len(LATENCIES) + 1 for second in live._ring)
