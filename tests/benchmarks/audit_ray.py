"""How much faster an audit is with two Ray workers than with one, on cores of one machine, one thread each.

Both in turn, in one run, over the same images again and again. Counted is what is judged from when all workers are
ready and warm, in this process, which hands out the shards and takes them back; nothing is written. Beside it stands
what the cores themselves allow: processes that share nothing and call the detector on decoded images, one and two.

    python tests/benchmarks/audit_ray.py --images test.npz --out audit_ray.json
"""

import argparse
import itertools
import json
import logging
import multiprocessing
import os
import platform
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from PIL import Image
from rich.console import Console

from detector.types import to_pixels
from models.preprocessing import Preprocessing
from service.bundles import ClassifierChoice, digest_of, open_bundle, open_detector
from service.images import read_image
from service.imagesets import load_image_set
from service.offline.cluster import crew_engine
from service.offline.cluster.ray_cluster import STORE_BYTES, require_ray
from service.offline.cluster.ray_engine import RayEngine
from service.offline.items import Item
from service.offline.judging.chunks import chunk_images
from service.offline.sources.opening import open_source
from service.offline.work import Shard, Tick, WorkerSettings
from service.options import RuntimeName

SHARD_IMAGES = 128
WARM_SECONDS = 5.0


class Ready(logging.Handler):
    """Counts the workers that have become ready."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.n = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.n += "is ready" in record.getMessage()


class Rate:
    """Images a second from when everybody is ready and warm.

    The first tick after that only starts the clock, and the last one stops it.
    """

    def __init__(self, ready: Ready, n_workers: int) -> None:
        self._ready, self._n_workers = ready, n_workers
        self._warm_at: float | None = None
        self._begun: float | None = None
        self._last = 0.0
        self._n_images = 0

    def tick(self, tick: Tick) -> None:
        now = time.perf_counter()
        if self._warm_at is None:
            self._warm_at = now + WARM_SECONDS if self._ready.n >= self._n_workers else None
        elif self._begun is None:
            self._begun = now if now > self._warm_at else None
        else:
            self._n_images, self._last = self._n_images + tick.n_images, now

    @property
    def seconds(self) -> float:
        return 0.0 if self._begun is None else self._last - self._begun

    @property
    def images_per_second(self) -> float:
        return self._n_images / self.seconds


def endless(items: Sequence[Item]) -> Iterator[Shard]:
    source = itertools.cycle(items)
    for number in itertools.count():
        yield Shard(number=number, items=list(itertools.islice(source, SHARD_IMAGES)))


def measured(settings: WorkerSettings, items: Sequence[Item], n_workers: int, seconds: float) -> float:
    ready = Ready()
    crew_engine.logger.addHandler(ready)
    rate, engine = Rate(ready, n_workers), RayEngine(settings, n_workers=n_workers)
    try:
        for _ in engine.judge(endless(items), rate.tick):
            if rate.seconds >= seconds:
                return rate.images_per_second
    finally:
        crew_engine.logger.removeHandler(ready)
        engine.close()
    raise AssertionError("endless shards have ended")


def alone(bundle: str, folder: Path, seconds: float, start: Any, rates: Any) -> None:
    """Call the detector again and again, in a process of its own."""
    torch.set_num_threads(1)
    opened = open_detector(bundle, false_positive_rate=0.05, choice=ClassifierChoice(device="cpu"))
    images = to_pixels(torch.stack([read_image(path, opened.preprocessing) for path in sorted(folder.iterdir())[:64]]))
    opened.detector.inspect(images)
    start.wait()
    begun, n_images = time.perf_counter(), 0
    while (passed := time.perf_counter() - begun) < seconds:
        opened.detector.inspect(images)
        n_images += len(images)
    rates.put(n_images / passed)


def measured_alone(bundle: str, folder: Path, n_processes: int, seconds: float) -> float:
    context = multiprocessing.get_context("spawn")
    start, rates = context.Barrier(n_processes), context.Queue()
    arguments = (bundle, folder, seconds, start, rates)
    processes = [context.Process(target=alone, args=arguments) for _ in range(n_processes)]
    for process in processes:
        process.start()
    found = [rates.get() for _ in processes]
    for process in processes:
        process.join()
    return sum(found)


def write_images(source: str, bundle: str, folder: Path, n_images: int) -> None:
    record = open_bundle(bundle).record
    preprocessing = Preprocessing.from_dict(record.preprocessing)
    found = load_image_set(source, preprocessing, labels=record.labels, limit=n_images)
    for index, image in enumerate(found.images):
        Image.fromarray(image.permute(1, 2, 0).squeeze(-1).numpy()).save(folder / f"{index:06}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="cifar10-resnet20")
    parser.add_argument("--images", default="test.npz", help="an image set, as isthmus evaluate takes it")
    parser.add_argument("--limit", type=int, default=1024)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    console = Console()
    crew_engine.logger.setLevel(logging.INFO)
    ray = require_ray()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=STORE_BYTES)
    rates: dict[int, list[float]] = {1: [], 2: []}
    bounds: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        write_images(arguments.images, arguments.bundle, Path(folder), arguments.limit)
        source = open_source(folder, allow_urls=False)
        settings = WorkerSettings(
            bundle=arguments.bundle,
            bundle_digest=digest_of(arguments.bundle),
            choice=ClassifierChoice(device="cpu"),
            false_positive_rate=0.05,
            columns=source.columns,
            chunk_images=chunk_images(open_bundle(arguments.bundle), "cpu", RuntimeName.TORCH),
        )
        items = list(source.items(lambda: None))
        for n_workers in (1, 2) * arguments.rounds:
            rates[n_workers].append(measured(settings, items, n_workers, arguments.seconds))
            bounds[n_workers].append(measured_alone(arguments.bundle, Path(folder), n_workers, arguments.seconds))
            console.print(
                f"{n_workers} workers: {rates[n_workers][-1]:.1f} images/s; processes that share nothing: "
                f"{bounds[n_workers][-1]:.1f}"
            )
    ray.shutdown()
    ratios, possible = ([two / one for one, two in zip(found[1], found[2], strict=True)] for found in (rates, bounds))
    result: dict[str, Any] = {
        "bundle": arguments.bundle,
        "images_per_second": {str(n_workers): median(found) for n_workers, found in rates.items()},
        "ratio": median(ratios),
        "ratio_by_round": ratios,
        "ratio_of_processes_that_share_nothing": median(possible),
        "ratio_of_processes_by_round": possible,
        "cores": os.cpu_count(),
        "ray": ray.__version__,
        "platform": platform.platform(),
    }
    console.print_json(data=result)
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
