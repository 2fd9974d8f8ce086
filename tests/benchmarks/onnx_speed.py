"""Images a second that straight paths decide: PyTorch against ONNX Runtime, side by side on one thread.

Both inspect the same images of noise, in the detector's own steps, in rounds that alternate; what counts is the median
over the rounds of the ratio within one. PyTorch runs the classifier as it is served: batch norms folded, channels last.
`cifar10-resnet20` is the shipped bundle. `cifar10-resnet18` has untrained weights, and a bundle with the shapes of one
that was calibrated by default, without an auxiliary classifier, and random values: what it says means nothing
(`service/bench/made_up.py`). Looked at besides the paths is the median of each image, as by
default. What is measured is `Detector.inspect` alone, from pixels in memory to verdicts, for straight paths.

    OMP_NUM_THREADS=1 python tests/benchmarks/onnx_speed.py --out onnx-speed.json
"""

import argparse
import dataclasses
import json
import platform
import time
from pathlib import Path
from statistics import median
from typing import Any

import onnxruntime
import torch
from rich.console import Console
from rich.table import Table
from torch import Generator, Tensor

from detector.detector import Detector
from detector.onnx_export.runtime import OnnxStraightPaths
from detector.presets import Preset, settings_for
from detector.types import no_progress
from models.onnx_files.sessions import open_session
from models.registry import registered
from service.bench.made_up import made_up_bundle
from service.bundles import ClassifierChoice, open_detector
from service.onnx_graphs import evidence_model

CPU = torch.device("cpu")
RATE = 0.05


def untrained_resnet18(generator: Generator) -> Detector:
    """Of the shapes that calibration gives a bundle by default, with random values."""
    classifier = registered("cifar10-resnet18").untrained(0).folded()
    bundle = made_up_bundle(classifier, settings_for(Preset.DEFAULT), generator, name="cifar10-resnet18")
    return Detector(classifier, bundle, RATE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Speeds:
    """Images a second of both in each round."""

    name: str
    images_per_step: int
    torch: tuple[float, ...]
    onnx_runtime: tuple[float, ...]
    largest_score_difference: float

    @property
    def ratio(self) -> float:
        return median(one / other for one, other in zip(self.onnx_runtime, self.torch, strict=True))

    def to_record(self) -> dict[str, Any]:
        return dataclasses.asdict(self) | {
            "median_torch": median(self.torch),
            "median_onnx_runtime": median(self.onnx_runtime),
            "median_ratio": self.ratio,
        }


def compare(name: str, with_torch: Detector, steps: int, rounds: int) -> Speeds:
    session = open_session(evidence_model(with_torch.straight_paths, no_progress).SerializeToString(), CPU, n_threads=1)
    auxiliary = with_torch.straight_paths.profiler.auxiliary
    with_onnx = Detector(
        with_torch.classifier,
        with_torch.bundle,
        RATE,
        auxiliary=None if auxiliary is None else auxiliary.profiler.classifier,
        measure_straight=OnnxStraightPaths(session),
    )
    n_images = steps * with_torch.images_per_step
    images = torch.rand(n_images, *with_torch.classifier.input_shape, generator=Generator().manual_seed(1))
    expected, found = (scores_of(detector, images) for detector in (with_torch, with_onnx))
    times = [(seconds(with_torch, images), seconds(with_onnx, images)) for _ in range(rounds)]
    return Speeds(
        name=name,
        images_per_step=with_torch.images_per_step,
        torch=tuple(n_images / one for one, _ in times),
        onnx_runtime=tuple(n_images / other for _, other in times),
        largest_score_difference=float((expected - found).abs().max()),
    )


def scores_of(detector: Detector, images: Tensor) -> Tensor:
    """Computed before anything is timed, so that nothing is run for the first time then."""
    scores = [verdict.score for verdict in detector.inspect(images)]
    return torch.tensor([torch.nan if score is None else score for score in scores])


def seconds(detector: Detector, images: Tensor) -> float:
    started = time.perf_counter()
    detector.inspect(images)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4, help="steps of the detector in one round")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    shipped = open_detector("cifar10-resnet20", false_positive_rate=RATE, choice=ClassifierChoice(device="cpu"))
    contenders = {
        "cifar10-resnet20": shipped.detector,
        "cifar10-resnet18, untrained": untrained_resnet18(Generator().manual_seed(0)),
    }
    found = [compare(name, detector, asked.steps, asked.rounds) for name, detector in contenders.items()]
    table = Table(
        "classifier", "images a step", "PyTorch, images/s", "ONNX Runtime, images/s", "ratio", "scores within"
    )
    for one in found:
        figures = [f"{median(one.torch):.1f}", f"{median(one.onnx_runtime):.1f}", f"{one.ratio:.2f}"]
        table.add_row(one.name, str(one.images_per_step), *figures, f"{one.largest_score_difference:.1e}")
    Console().print(table)
    if asked.out is not None:
        versions = {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__}
        machine = {"machine": platform.processor() or platform.machine(), "threads": 1, "versions": versions}
        record = machine | {"classifiers": [one.to_record() for one in found]}
        asked.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
