"""What is measured along a path: how unlike its label a waypoint looks to the classifier.

Every potential maps (logits or representations, labels) to one number a waypoint, and is differentiable in them.
"""

import dataclasses
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from detector.types import Labels


def margin(logits: Float[Tensor, "image label"], labels: Labels) -> Float[Tensor, " image"]:
    """Logit of the label minus the largest other logit; negative where another label wins."""
    chosen, others = _split_logits(logits, labels)
    return chosen - others.amax(1)


def log_odds_against(logits: Float[Tensor, "image label"], labels: Labels) -> Float[Tensor, " image"]:
    """Log-odds that the classifier gives to all the other labels together, in nats."""
    chosen, others = _split_logits(logits, labels)
    return others.logsumexp(1) - chosen


def cross_entropy(logits: Float[Tensor, "image label"], labels: Labels) -> Float[Tensor, " image"]:
    """Minus the log-probability of the label, in nats, exact even where the classifier is almost sure."""
    return functional.softplus(log_odds_against(logits, labels))


def log_cross_entropy(logits: Float[Tensor, "image label"], labels: Labels) -> Float[Tensor, " image"]:
    """Logarithm of the cross-entropy; keeps apart confidences that all round to a cross-entropy of zero.

    For log-odds x far below zero softplus(x) tends to exp(x), so its logarithm tends to x itself.
    """
    log_odds = log_odds_against(logits, labels)
    is_far = log_odds < -12
    near = torch.where(is_far, torch.zeros_like(log_odds), log_odds)
    return torch.where(is_far, log_odds, functional.softplus(near).log())


def _split_logits(
    logits: Float[Tensor, "image label"], labels: Labels
) -> tuple[Float[Tensor, " image"], Float[Tensor, "image label"]]:
    """Logit of the label, and all logits with that one at minus infinity."""
    chosen = logits.gather(1, labels[:, None])
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return chosen[:, 0], others


def pooled(representation: Tensor) -> Float[Tensor, "image dimension"]:
    """A representation as one vector an image: channel means and standard deviations over space, or over tokens.

    Accepts (image, channel, height, width), (image, token, channel) and (image, dimension); the last is kept as it is.
    """
    if representation.ndim == 2:
        return representation
    axes = [1] if representation.ndim == 3 else list(range(2, representation.ndim))
    # Two plain means are several times as fast as `var` on a CPU. Squares are taken of differences from the mean, so
    # that the mean's own rounding counts only where it is ten thousand times the deviation.
    mean = representation.mean(axes, keepdim=True)
    variance = (representation - mean).square().mean(axes)
    # The root's slope is infinite at a channel that is constant, dead channels above all.
    return torch.cat([mean.squeeze(tuple(axes)), (variance + 1e-8).sqrt()], 1)


def blocks_of(logits: Tensor, representations: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The vectors whose typicality is measured, by name: every pooled representation, and the logits."""
    return {**{name: pooled(value) for name, value in representations.items()}, "logits": logits}


@runtime_checkable
class Gaussians(Protocol):
    """One Gaussian for each label over one block of a representation, in whatever form."""

    def to(self, device: torch.device, /) -> "Gaussians":
        """The same Gaussians on another device."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Everything it consists of, by name."""
        ...

    def log_distances(self, block: Float[Tensor, "image dimension"], /) -> Float[Tensor, "image label"]:
        """Logarithm of the squared Mahalanobis distance per dimension to each label's Gaussian; about 0 if typical."""
        ...

    def nearest_other(self, distances: Float[Tensor, "image label"], labels: Labels, /) -> Float[Tensor, "image 1"]:
        """Smallest of these distances to another label than the one in question."""
        ...

    def log_distances_between(
        self, block: Float[Tensor, "image dimension"], others: Float[Tensor, "other dimension"], label: int, /
    ) -> Float[Tensor, "image other"]:
        """Logarithm of the squared Mahalanobis distance per dimension between images, under a label's covariance."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelGaussians:
    """Gaussians with the mean and, where it is not shared, the covariance of each label in full.

    Attributes:
        means: shape (label, dimension).
        whitening: shape (label or 1, dimension, dimension); `|whitening @ (x - mean)|²` is the squared Mahalanobis
            distance. Its first axis is 1 where all labels share one covariance.
    """

    means: Float[Tensor, "label dimension"]
    whitening: Float[Tensor, "covariance dimension dimension"]

    def to(self, device: torch.device) -> "LabelGaussians":
        """The same Gaussians on another device."""
        return LabelGaussians(means=self.means.to(device), whitening=self.whitening.to(device))

    def tensors(self) -> dict[str, Tensor]:
        """Means and whitening."""
        return {"means": self.means, "whitening": self.whitening}

    def log_distances(self, block: Float[Tensor, "image dimension"]) -> Float[Tensor, "image label"]:
        """Logarithm of the squared Mahalanobis distance per dimension to each label's Gaussian; about 0 if typical."""
        # Far from the origin products of whitened values lose the digits that tell the labels apart.
        centre = self.means.mean(0)
        values, means = block - centre, self.means - centre
        if len(self.whitening) == 1:
            white, white_means = values @ self.whitening[0].T, means @ self.whitening[0].T
            # By default cdist expands the square for more than 25 rows: inexact, and dependent on the batch.
            distances = torch.cdist(white, white_means, compute_mode="donot_use_mm_for_euclid_dist")
            squares = distances.square() / block.shape[1]
        else:
            white = torch.einsum("nd,led->nle", values, self.whitening)
            white_means = torch.einsum("ld,led->le", means, self.whitening)
            squares = (white - white_means).square().mean(2)
        return (squares + 1e-6).log()

    def nearest_other(self, distances: Float[Tensor, "image label"], labels: Labels) -> Float[Tensor, "image 1"]:
        """Smallest of these distances to another label than the one in question."""
        return distances.scatter(1, labels[:, None], torch.inf).amin(1, keepdim=True)

    def log_distances_between(
        self, block: Float[Tensor, "image dimension"], others: Float[Tensor, "other dimension"], label: int
    ) -> Float[Tensor, "image other"]:
        """Logarithm of the squared Mahalanobis distance per dimension between images, under a label's covariance."""
        own = self.whitening if len(self.whitening) == 1 else self.whitening[label : label + 1]
        return LabelGaussians(means=others, whitening=own).log_distances(block)
