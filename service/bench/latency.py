"""How long a single image takes, by its distribution."""

import dataclasses
import statistics
import time
from collections.abc import Sequence

from detector.detector import Detector
from detector.types import Images
from service.bench.forward_rate import wait_for

MOST_SECONDS = 4.0
FEWEST, MOST = 20, 200


@dataclasses.dataclass(frozen=True, kw_only=True)
class Latency:
    """Of images that were judged one by one.

    Attributes:
        p50, p99: milliseconds that half, and 99 % of them, took at most.
        n_images: judged.
    """

    p50: float
    p99: float
    n_images: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Latency":
        """The percentiles, between two images where they fall between."""
        percentiles = statistics.quantiles(seconds, n=100, method="inclusive")
        return cls(p50=1000 * percentiles[49], p99=1000 * percentiles[98], n_images=len(seconds))


def latency_of(detector: Detector, images: Images) -> Latency:
    """Judge images one by one, in turns, after one that does not count; bounded in number and in time."""
    detector.inspect(images[:1])
    seconds: list[float] = []
    while len(seconds) < FEWEST or (len(seconds) < MOST and sum(seconds) < MOST_SECONDS):
        row = len(seconds) % len(images)
        started = time.perf_counter()
        detector.inspect(images[row : row + 1])
        wait_for(detector.classifier.device)
        seconds.append(time.perf_counter() - started)
    return Latency.of(seconds)
