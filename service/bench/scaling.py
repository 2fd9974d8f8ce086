"""How the cost of a verdict grows with the number of images, prototypes and labels, and with the size of an image."""

import dataclasses
import enum
import math
from collections.abc import Mapping, Sequence

import torch
from torch import Generator

from detector.detector import Detector
from detector.presets import Preset, settings_for
from detector.types import ProgressCallback
from models.classifier import Classifier
from models.resnet import resnet20
from models.training import initialised
from service.bench.contenders import RATE
from service.bench.forward_rate import wait_for
from service.bench.made_up import made_up_bundle
from service.bench.timing import Lasting, Timing, alternate, lasting, median_ratio


class Axis(enum.StrEnum):
    """What is varied while everything else stays."""

    IMAGES = "images"
    PROTOTYPES = "prototypes"
    LABELS = "labels"
    IMAGE_SIZE = "image size"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """One setting of a sweep.

    Attributes:
        images: judged in one call.
        size: height and width of an image.
    """

    images: int = 64
    prototypes: int = 1
    labels: int = 10
    size: int = 32

    def along(self, axis: Axis) -> float:
        """What the cost is held against: pixels, where the size of an image is varied."""
        match axis:
            case Axis.IMAGES:
                return self.images
            case Axis.PROTOTYPES:
                return self.prototypes
            case Axis.LABELS:
                return self.labels
            case Axis.IMAGE_SIZE:
                return self.size**2


SWEEPS: Mapping[Axis, tuple[Point, ...]] = {
    Axis.IMAGES: tuple(Point(images=images) for images in (16, 64, 256)),
    Axis.PROTOTYPES: tuple(Point(prototypes=prototypes, images=32) for prototypes in (1, 2, 4, 8)),
    Axis.LABELS: tuple(Point(labels=labels) for labels in (10, 100, 1000)),
    Axis.IMAGE_SIZE: tuple(Point(size=size, images=4096 * 4 // size**2) for size in (16, 32, 64)),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """One point of a sweep, and what it took."""

    point: Point
    timing: Timing
    forward_equivalents: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sweep:
    """One axis.

    Attributes:
        exponent: p of the power law cost ∝ xᵖ that fits the measured costs best: 1 is linear, 0 is flat. The cost is
            the time of the whole call where images are varied, and that of one image elsewhere; x is what is varied,
            but the forward passes where prototypes are, and the pixels where the size is.
        ratio: cost of the last point ÷ cost of the first, the median of the ratios within a round.
    """

    axis: Axis
    measured: tuple[Measured, ...]

    @property
    def exponent(self) -> float:
        costs = [self._cost(one) for one in self.measured]
        return fitted_exponent([self._x(one) for one in self.measured], costs)

    @property
    def ratio(self) -> float:
        first, last = self.measured[0], self.measured[-1]
        # A timing may hold several calls, where one alone would be too short to tell.
        per_image = median_ratio(last.timing.seconds, first.timing.seconds)
        per_image *= first.timing.n_images / last.timing.n_images
        return per_image * (last.point.images / first.point.images if self.axis is Axis.IMAGES else 1)

    @property
    def growth(self) -> float:
        """How many times as large x is at the last point as at the first."""
        return self._x(self.measured[-1]) / self._x(self.measured[0])

    def _x(self, one: Measured) -> float:
        return one.forward_equivalents if self.axis is Axis.PROTOTYPES else one.point.along(self.axis)

    def _cost(self, one: Measured) -> float:
        per_image = 1 / one.timing.images_per_second
        return per_image * (one.point.images if self.axis is Axis.IMAGES else 1)


def fitted_exponent(x: Sequence[float], y: Sequence[float]) -> float:
    """The p of the y ∝ xᵖ that is nearest in logarithms: the slope of a least-squares line.

    Raises:
        ValueError: there are not two different x.
    """
    log_x, log_y = [math.log(value) for value in x], [math.log(value) for value in y]
    mean_x, mean_y = sum(log_x) / len(x), sum(log_y) / len(y)
    square = sum((value - mean_x) ** 2 for value in log_x)
    if square == 0:
        raise ValueError(f"a slope needs two different x, and all are {x[0] if x else 'absent'}")
    return sum((one - mean_x) * (other - mean_y) for one, other in zip(log_x, log_y, strict=True)) / square


def sweep(axis: Axis, points: Sequence[Point], device: torch.device, rounds: int, progress: ProgressCallback) -> Sweep:
    """Judge noise with a made-up detector at each point, in turns."""
    acts: dict[str, Lasting] = {}
    detectors: dict[str, Detector] = {}
    for point in points:
        name = f"{axis} {point.along(axis):g}"
        detectors[name] = made_up_detector(point, device)
        acts[name] = lasting(_judging(detectors[name], point))
    seconds = alternate(acts, rounds, progress)
    measured = (
        Measured(
            point=point,
            timing=Timing(seconds=seconds[name], n_images=point.images * acts[name].n_repeats),
            forward_equivalents=detectors[name].bundle.forward_equivalents,
        )
        for name, point in zip(acts, points, strict=True)
    )
    return Sweep(axis=axis, measured=tuple(measured))


def made_up_detector(point: Point, device: torch.device) -> Detector:
    """ResNet-20 with random weights, for images of any size and any number of labels, and a bundle as `fast` makes."""
    known = Classifier(
        initialised(lambda: resnet20(point.labels), 0),
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        representations=("stages.0", "stages.1", "stages.2", "flatten"),
        labels=tuple(f"label-{number}" for number in range(point.labels)),
        input_shape=(3, point.size, point.size),
    ).folded()
    settings = dataclasses.replace(settings_for(Preset.FAST), n_prototypes=point.prototypes)
    bundle = made_up_bundle(known, settings, Generator().manual_seed(0))
    return Detector(known.to(device), bundle, RATE)


def _judging(detector: Detector, point: Point) -> "_Judging":
    images = torch.rand(point.images, 3, point.size, point.size, generator=Generator().manual_seed(1))
    return _Judging(detector, images)


@dataclasses.dataclass(frozen=True)
class _Judging:
    detector: Detector
    images: torch.Tensor

    def __call__(self) -> None:
        self.detector.inspect(self.images)
        wait_for(self.detector.classifier.device)
