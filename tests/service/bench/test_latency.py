import pytest
import torch

from service.bench import latency
from service.bench.latency import FEWEST, MOST, Latency, latency_of


def test_half_are_faster_than_p50_and_one_in_a_hundred_slower_than_p99():
    found = Latency.of([number / 1000 for number in range(1, 102)])
    assert (found.p50, found.p99, found.n_images) == (pytest.approx(51), pytest.approx(100), 101)


class Slow:
    """A detector of whose images each takes so many seconds."""

    classifier = torch.nn.Identity()

    def __init__(self, monkeypatch, seconds):
        self.now, self.seconds, self.sizes = 0.0, seconds, []
        self.classifier.device = torch.device("cpu")
        monkeypatch.setattr(latency.time, "perf_counter", lambda: self.now)

    def inspect(self, images):
        self.sizes.append(len(images))
        self.now += self.seconds


@pytest.mark.parametrize(("seconds", "n_images"), [(0.001, MOST), (0.1, 40), (10.0, FEWEST)])
def test_images_come_one_by_one_and_slow_ones_are_fewer(monkeypatch, seconds, n_images):
    detector = Slow(monkeypatch, seconds)
    found = latency_of(detector, torch.zeros(3, 1, 2, 2))
    assert set(detector.sizes) == {1}
    assert found.n_images == pytest.approx(n_images, abs=1)
    assert found.p50 == pytest.approx(1000 * seconds)
