"""The last minute, for people who look on."""

import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from typing import Any

from detector.verdict import Decision

SECONDS = 60

LATENCIES = tuple(1e-4 * 1.1**step for step in range(150))
"""Borders between which latencies are counted, from 0.1 ms to 2.4 minutes: a quantile is at most a tenth too high."""


class _Second:
    """What happened within one second."""

    def __init__(self, second: int) -> None:
        self.second = second
        self.decisions: Counter[str] = Counter()
        self.latencies: Counter[int] = Counter()
        self.n_rejected = 0


class LiveStatistics:
    """Counts by the second, of the running one and those before it. Thread-safe; its size does not grow.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = clock()
        self._ring = [_Second(-1) for _ in range(SECONDS)]
        self._lock = threading.Lock()

    def judged(self, decision: Decision) -> None:
        """One image has its verdict."""
        with self._lock:
            self._now().decisions[decision.value] += 1

    def answered(self, seconds: float) -> None:
        """One request for verdicts was answered."""
        with self._lock:
            self._now().latencies[bisect_left(LATENCIES, seconds)] += 1

    def rejected(self) -> None:
        """One request was refused."""
        with self._lock:
            self._now().n_rejected += 1

    def summary(self) -> dict[str, Any]:
        """Counts and rates of the last minute, or since the start where that is later.

        Returns:
            `verdicts` counts by decision, `shares` are their fractions, null without verdicts; `latency_seconds` has
            `p50` and `p99`, null without requests; `images_by_second` ends with the last full second.
        """
        with self._lock:
            now = self._clock()
            recent = [second for second in self._ring if second.second > int(now) - SECONDS]
            decisions = sum((second.decisions for second in recent), Counter())
            latencies = sum((second.latencies for second in recent), Counter())
            n_rejected = sum(second.n_rejected for second in recent)
            by_second = {second.second: second.decisions.total() for second in recent}
        # The oldest second of the ring is whole, the running one has only begun.
        window = max(1.0, min(now - self._started, SECONDS - 1 + now % 1))
        n_images = decisions.total()
        verdicts = {decision.value: decisions[decision.value] for decision in Decision}
        return {
            "seconds": round(window, 1),
            "images_per_second": round(n_images / window, 3),
            "requests_per_second": round(latencies.total() / window, 3),
            "rejected_per_second": round(n_rejected / window, 3),
            "verdicts": verdicts,
            "shares": {name: round(count / n_images, 4) if n_images else None for name, count in verdicts.items()},
            "latency_seconds": {"p50": _quantile(latencies, 0.5), "p99": _quantile(latencies, 0.99)},
            "images_by_second": [by_second.get(int(now) - ago, 0) for ago in range(SECONDS - 1, 0, -1)],
        }

    def _now(self) -> _Second:
        second = int(self._clock())
        slot = self._ring[second % SECONDS]
        if slot.second != second:
            slot = self._ring[second % SECONDS] = _Second(second)
        return slot


def _quantile(latencies: Counter[int], level: float) -> float | None:
    """The upper border of the interval that the quantile lies in, in seconds."""
    n_left = level * latencies.total()
    for interval in sorted(latencies):
        n_left -= latencies[interval]
        if n_left <= 0:
            return round(LATENCIES[min(interval, len(LATENCIES) - 1)], 6)
    return None
