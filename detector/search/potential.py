"""What a search lowers: one number for each point of a path, the larger the less the point belongs to its label."""

import dataclasses
import enum
from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from detector.potentials import Gaussians, blocks_of, cross_entropy, log_cross_entropy, margin
from detector.types import Classifier, DetectorError, Images, Labels, Outputs

Points = Float[Tensor, "point channel height width"]
"""Waypoints of any number of paths, pixels in [0, 1]."""


@runtime_checkable
class Potential(Protocol):
    """Maps points to one number each, differentiable in the pixels; no point's value depends on another point.

    The second argument names the path that each point lies on, for potentials that differ from path to path.
    """

    def __call__(self, points: Points, paths: Int64[Tensor, " point"], /) -> Float[Tensor, " point"]: ...


class PotentialKind(enum.StrEnum):
    """What of a classifier's outputs is the potential; the member's `unit` says in which unit."""

    CROSS_ENTROPY = "cross-entropy"
    LOG_CROSS_ENTROPY = "log-cross-entropy"
    MARGIN = "margin"
    REPRESENTATION = "representation"

    @property
    def unit(self) -> str:
        """Unit of values and barriers."""
        return _UNITS[self]


_UNITS = {
    PotentialKind.CROSS_ENTROPY: "nats",
    PotentialKind.LOG_CROSS_ENTROPY: "log nats",
    PotentialKind.MARGIN: "logits",
    PotentialKind.REPRESENTATION: "log distance",
}

Measure = Callable[[Outputs, Labels], Tensor]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelPotential:
    """How unlike its path's label a classifier takes each point to be.

    Attributes:
        labels: of each path, shape (path,).
        measure: maps the classifier's outputs and one label a point to one number a point.
    """

    classifier: Classifier
    labels: Int64[Tensor, " path"]
    measure: Measure

    def __call__(self, points: Points, paths: Int64[Tensor, " point"], /) -> Float[Tensor, " point"]:
        """Measure the points, on the classifier's device."""
        device = self.classifier.device
        values = self.measure(self.classifier(points.to(device)), self.labels[paths.to(self.labels.device)].to(device))
        return values.to(points.device)


def label_potential(
    kind: PotentialKind,
    classifier: Classifier,
    labels: Labels,
    gaussians: Mapping[str, Gaussians] | None = None,
) -> LabelPotential:
    """A potential of this kind, with one label a path.

    Raises:
        DetectorError: the representation potential is asked for without the Gaussians that it measures against.
    """
    if kind is PotentialKind.REPRESENTATION:
        if gaussians is None:
            raise DetectorError(
                "the representation potential measures against the Gaussians of a bundle, and none were given; "
                "give them, or take cross-entropy"
            )
        on_device = {name: fit.to(classifier.device) for name, fit in gaussians.items()}
        return LabelPotential(classifier=classifier, labels=labels, measure=_RepresentationDistance(on_device))
    return LabelPotential(classifier=classifier, labels=labels, measure=_MEASURES[kind])


class _RepresentationDistance:
    """Log-distance to the label's own Gaussian, averaged over the blocks."""

    def __init__(self, gaussians: Mapping[str, Gaussians]) -> None:
        self.gaussians = gaussians

    def __call__(self, outputs: Outputs, labels: Labels) -> Tensor:
        found = blocks_of(outputs.logits, outputs.representations)
        own = [self.gaussians[name].log_distances(block).gather(1, labels[:, None]) for name, block in found.items()]
        return torch.cat(own, 1).mean(1)


def _lead_of_others(outputs: Outputs, labels: Labels) -> Tensor:
    return -margin(outputs.logits, labels)


def _cross_entropy(outputs: Outputs, labels: Labels) -> Tensor:
    return cross_entropy(outputs.logits, labels)


def _log_cross_entropy(outputs: Outputs, labels: Labels) -> Tensor:
    return log_cross_entropy(outputs.logits, labels)


_MEASURES: Mapping[PotentialKind, Measure] = {
    PotentialKind.CROSS_ENTROPY: _cross_entropy,
    PotentialKind.LOG_CROSS_ENTROPY: _log_cross_entropy,
    PotentialKind.MARGIN: _lead_of_others,
}


def check_same_shape(starts: Images, ends: Float[Tensor, "_ _ _ _"]) -> None:
    """Refuse starts and ends that do not pair up.

    Raises:
        DetectorError: they differ in number or shape.
    """
    if starts.shape != ends.shape:
        raise DetectorError(
            f"starts of shape {tuple(starts.shape)} came with ends of shape {tuple(ends.shape)}; "
            "give one end for each start, of the same size"
        )
