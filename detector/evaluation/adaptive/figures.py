"""What comes out of a detector-aware attack."""

import dataclasses
from collections.abc import Mapping

from jaxtyping import Int64
from torch import Tensor

from detector.evaluation.metrics import Estimate
from detector.types import Images, Labels


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaptiveFigures:
    """How far a detector-aware attack came.

    Attributes:
        name, title: of the attack.
        radius: L∞, pixel units of [0, 1].
        n: images attacked.
        reached: share for which the classifier names the target.
        evaded: share for which it does and `Detector.inspect` does not flag them, by nominal false-positive rate;
            an undecided image counts as flagged.
        evaded_rounded: the same at 5 % after the pixels are rounded to bytes, as files hold them.
        undefended: share of targets reached by the same attack with the same budget where nothing is defended. An
            attack that fails even there says nothing about a detector.
        first_loss, last_loss: mean joint objective of the clean images and of those handed in; it must fall.
        seconds: that the attack took, without the undefended one.
    """

    name: str
    title: str
    radius: float
    n: int
    reached: Estimate
    evaded: Mapping[float, Estimate]
    evaded_rounded: float
    undefended: float
    first_loss: float
    last_loss: float
    seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaptiveRun:
    """One detector-aware attack on one detector.

    Attributes:
        images: what was handed to the detector, successful or not, pixels in [0, 1].
        sources: index of the clean image of each, shape (image,).
        targets: the label that the classifier was to name, shape (image,).
    """

    figures: AdaptiveFigures
    images: Images
    sources: Int64[Tensor, " image"]
    targets: Labels


@dataclasses.dataclass(frozen=True, kw_only=True)
class SkippedAdaptive:
    """A detector-aware attack that was not run, and why."""

    name: str
    title: str
    reason: str
