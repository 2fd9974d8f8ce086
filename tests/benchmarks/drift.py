"""How often the drift alarm goes off on clean traffic, and how soon it does under attack.

Every run draws a calibration set of its own and then images one after the other; all runs advance together. Attacked
images have p-values spread evenly up to 0.02.

    python tests/benchmarks/drift.py --runs 200 --images 1000000
"""

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from service.observability.drift import CEILING, CLEARING, factors, tail_events

BLOCK = 1000
CALIBRATION_IMAGES = (144, 500, 1549, 5000)
ATTACKED_SHARES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
WARM_UP = 2000
ATTACKED_UP_TO = 0.02

console = Console(width=120)


class Traffic:
    """Ranks of images against a calibration set for each run; a clean image falls into each gap by its true share."""

    def __init__(self, n_runs: int, n_calibration: int, generator: np.random.Generator) -> None:
        self.n_runs = n_runs
        self.n_calibration = n_calibration
        self._generator = generator
        # Scores of calibration images, as the shares of clean images that score at least as high.
        self._calibration = np.sort(generator.random((n_runs, n_calibration)), axis=1)

    def clean(self, n_images: int) -> NDArray[np.int64]:
        """p-values of clean images times n + 1, shape (run, image)."""
        shares = self._generator.random((self.n_runs, n_images))
        rows = zip(self._calibration, shares, strict=True)
        return np.stack([1 + np.searchsorted(calibration, row) for calibration, row in rows])

    def attacked(self, n_images: int, share: float) -> NDArray[np.int64]:
        """The same with a share of attacked images among them."""
        clean = self.clean(n_images)
        highest = max(1, int(ATTACKED_UP_TO * (self.n_calibration + 1)))
        attacked = self._generator.integers(1, highest + 1, clean.shape)
        return np.where(self._generator.random(clean.shape) < share, attacked, clean)


class Tests:
    """One `DriftTest` a run, all of them one array."""

    def __init__(self, n_runs: int, n_calibration: int, threshold: float) -> None:
        events = tail_events(n_calibration)
        self.threshold = threshold
        self._table = np.stack([factors(events, rank) for rank in range(n_calibration + 2)])
        self._stakes = np.zeros((n_runs, self._table.shape[1]))
        self.is_alarmed = np.zeros(n_runs, dtype=bool)

    def update(self, ranks: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Take in one image a run, and say which alarms went off at it."""
        self._stakes += 1
        self._stakes *= self._table[ranks]
        totals = self._stakes.mean(1)
        self._stakes *= np.minimum(1, CEILING * self.threshold / totals)[:, None]
        was_alarmed = self.is_alarmed
        self.is_alarmed = totals >= self.threshold * np.where(was_alarmed, CLEARING, 1.0)
        return self.is_alarmed & ~was_alarmed


def false_alarms(n_runs: int, n_images: int, n_calibration: int, threshold: float, seed: int) -> tuple[int, int, float]:
    """Runs with an alarm, alarms, and the share of images during one, over clean traffic."""
    traffic = Traffic(n_runs, n_calibration, np.random.default_rng(seed))
    tests = Tests(n_runs, n_calibration, threshold)
    counts = np.zeros(n_runs, dtype=int)
    n_alarmed = 0
    for block in blocks(n_images):
        for ranks in traffic.clean(block).T:
            counts += tests.update(ranks)
            n_alarmed += int(tests.is_alarmed.sum())
    return int((counts > 0).sum()), int(counts.sum()), n_alarmed / (n_runs * n_images)


def delays(n_runs: int, n_calibration: int, share: float, threshold: float, seed: int) -> tuple[Any, Any]:
    """Images from the first attack to the alarm, and, where 2,000 images are attacked, from the last to its end."""
    traffic = Traffic(n_runs, n_calibration, np.random.default_rng(seed))
    tests = Tests(n_runs, n_calibration, threshold)
    for ranks in traffic.clean(WARM_UP).T:
        tests.update(ranks)
    limit = 20_000
    first = np.full(n_runs, limit)
    for n_seen, ranks in enumerate(traffic.attacked(limit, share).T, start=1):
        tests.update(ranks)
        first = np.where(tests.is_alarmed, np.minimum(first, n_seen), first)
        if (first < limit).all() and n_seen >= 2000:
            break
    ended = np.full(n_runs, limit)
    for n_seen, ranks in enumerate(traffic.clean(limit).T, start=1):
        tests.update(ranks)
        ended = np.where(tests.is_alarmed, ended, np.minimum(ended, n_seen))
        if not tests.is_alarmed.any():
            break
    return first, ended


def blocks(n_images: int) -> Iterator[int]:
    for start in range(0, n_images, BLOCK):
        yield min(BLOCK, n_images - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--images", type=int, default=1_000_000, help="clean images a run")
    parser.add_argument("--threshold", type=float, default=1_000_000.0, help="the setting drift_false_alarms")
    parser.add_argument("--calibration", type=int, nargs="*", default=CALIBRATION_IMAGES)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    table = Table(
        title=f"clean traffic, {options.runs} runs of {options.images:,} images, c = {options.threshold:,.0f}"
    )
    for heading in ("calibration images", "runs with an alarm", "alarms", "share of images during one"):
        table.add_column(heading, justify="right")
    for n_calibration in options.calibration:
        found = false_alarms(options.runs, options.images, n_calibration, options.threshold, options.seed)
        table.add_row(str(n_calibration), str(found[0]), str(found[1]), f"{found[2]:.2e}")
    console.print(table)

    table = Table(title=f"images until the alarm (median, 90 %), and until its end; {options.runs} runs")
    for heading in ("calibration images", "attacked", "median", "90 %", "its end: median", "90 %"):
        table.add_column(heading, justify="right")
    for n_calibration in options.calibration:
        for share in ATTACKED_SHARES:
            first, ended = delays(options.runs, n_calibration, share, options.threshold, options.seed + 1)
            numbers = [f"{np.quantile(which, level):,.0f}" for which in (first, ended) for level in (0.5, 0.9)]
            table.add_row(str(n_calibration), f"{share:.0%}", *numbers)
    console.print(table)


if __name__ == "__main__":
    main()
