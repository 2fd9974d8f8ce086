"""Images a second that straight paths decide: PyTorch against ONNX Runtime, side by side on one thread.

Both inspect the same images of noise, in the detector's own steps, in rounds that alternate; what counts is the median
over the rounds of the ratio within one. PyTorch runs the classifier as it is served: batch norms folded, channels last.
`cifar10-resnet20` is the shipped bundle. `cifar10-resnet18` has untrained weights, and a bundle with the shapes of one
that was calibrated by default, without an auxiliary classifier, and random values: what it says means nothing. Blocks
of more dimensions than calibration keeps full covariances for have ones of low rank, of the rank named below, which is
an assumption: calibration finds it in the data. Looked at besides the paths is the median of each image, as by
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

from detector.bundle import Bundle
from detector.calibration.statistics import LARGE_DIMENSION
from detector.detector import Detector
from detector.head import Head
from detector.low_rank import LowRankGaussians
from detector.onnx_export.runtime import OnnxStraightPaths
from detector.potentials import Gaussians, LabelGaussians, blocks_of
from detector.smoothing import Smoothing
from detector.types import no_progress
from models.classifier import Classifier
from models.onnx_files.sessions import open_session
from models.registry import registered
from models.training import initialised
from service.bundles import ClassifierChoice, open_bundle, open_detector
from service.onnx_graphs import evidence_model

CPU = torch.device("cpu")
RATE = 0.05
RANK = 64
"""Of the covariances of large blocks of the untrained classifier."""


def untrained_resnet18(generator: Generator) -> Detector:
    """Of the shapes that calibration gives a bundle, with the waypoints of the shipped one and random values."""
    known = registered("cifar10-resnet18")
    classifier = Classifier(
        initialised(known.architecture, 0),
        mean=known.mean,
        std=known.std,
        representations=known.representations,
        labels=known.labels,
        input_shape=known.input_shape,
    ).folded()
    shipped = open_bundle("cifar10-resnet20")
    gaussians = random_gaussians(classifier, generator)
    # 4 numbers, and 2 a block, at the image; those and a gain at the median; both's mean and spread over prototypes at
    # each waypoint.
    at_image = 4 + 2 * len(gaussians)
    n_features = at_image + (at_image + 1) * (1 + 2 * len(shipped.mixing))
    hidden = shipped.record.hidden
    record = shipped.record.model_copy(
        update={
            "classifier": known.name,
            "classifier_digest": classifier.digest(),
            "blocks": tuple(gaussians),
            "n_features": n_features,
            "smoothings": (Smoothing.MEDIAN,),
            "auxiliary": None,
        }
    )
    bundle: Bundle = shipped.replaced(
        record=record,
        gaussians=gaussians,
        auxiliary_gaussians={},
        head=Head(n_features, hidden).eval().requires_grad_(False),
        claim_weights=torch.ones(2 + 2 * len(gaussians)),
    )
    return Detector(classifier, bundle, RATE)


def random_gaussians(classifier: Classifier, generator: Generator) -> dict[str, Gaussians]:
    """Random means of every block; one covariance for all labels, of low rank where calibration would keep it so."""
    with torch.no_grad():
        outputs = classifier(torch.zeros(2, *classifier.input_shape))
    n_labels = len(classifier.labels)
    return {
        name: (low_rank if block.shape[1] > LARGE_DIMENSION else full)(n_labels, block.shape[1], generator)
        for name, block in blocks_of(outputs.logits, outputs.representations).items()
    }


def full(n_labels: int, dimension: int, generator: Generator) -> LabelGaussians:
    return LabelGaussians(
        means=torch.randn(n_labels, dimension, generator=generator), whitening=torch.eye(dimension)[None]
    )


def low_rank(n_labels: int, dimension: int, generator: Generator) -> LowRankGaussians:
    basis, _ = torch.linalg.qr(torch.randn(dimension, RANK, generator=generator))
    return LowRankGaussians(
        centre=torch.zeros(dimension),
        unit=torch.ones(dimension),
        basis=basis,
        scale=torch.ones(RANK),
        outside=torch.tensor(1.0),
        means=torch.randn(n_labels, RANK, generator=generator),
        unknown=torch.eye(RANK),
        rows=torch.arange(n_labels),
    )


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
