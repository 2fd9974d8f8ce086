"""Gaussians of many labels over blocks of many dimensions, where neither labels nor dimensions may be squared."""

import dataclasses

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from detector.types import Labels


@dataclasses.dataclass(frozen=True, kw_only=True)
class LowRankGaussians:
    """All labels share one covariance: of low rank, and the same in every direction outside (Tipping & Bishop 1999).

    Means lie in the span of the basis, so that distances cost `image × label × rank`. A label without images has no
    mean of its own: what is expected of it is the Gaussian that the means of the known labels were drawn from, as wide
    as they lie apart and the images of one label together, so that typical images of it too lie at a distance of about
    1 per dimension.

    Attributes:
        centre: mean of the means of the known labels.
        unit: what counts as 1 in each dimension.
        basis: orthonormal columns.
        scale: one over the standard deviation within a label along each column.
        outside: the same for each direction outside the basis, shape ().
        means: of the known labels, along the columns, in standard deviations.
        unknown: `|y @ unknown|²` is the squared distance of y, along the columns in standard deviations, to a label
            without images.
        rows: which row of `means` is a label's; as many as there are rows where it has no images.
    """

    centre: Float[Tensor, " dimension"]
    unit: Float[Tensor, " dimension"]
    basis: Float[Tensor, "dimension rank"]
    scale: Float[Tensor, " rank"]
    outside: Float[Tensor, ""]
    means: Float[Tensor, "known rank"]
    unknown: Float[Tensor, "rank rank"]
    rows: Int64[Tensor, " label"]

    def to(self, device: torch.device) -> "LowRankGaussians":
        """The same Gaussians on another device."""
        return LowRankGaussians(**{name: tensor.to(device) for name, tensor in self.tensors().items()})

    def tensors(self) -> dict[str, Tensor]:
        """Everything it consists of, by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def log_distances(self, block: Float[Tensor, "image dimension"]) -> Float[Tensor, "image label"]:
        """Logarithm of the squared Mahalanobis distance per dimension to each label's Gaussian; about 0 if typical.

        Squares of differences are expanded, in standard deviations about the centre: what that rounds off is as small
        beside the distance as the square of a mean's own distance from the centre allows, and the share outside the
        basis, which is the same for all labels, keeps the distance from coming near zero.
        """
        along, outside = self._split((block - self.centre) / self.unit)
        known = along.square().sum(1, keepdim=True) + (self.means.square().sum(1) - 2 * along @ self.means.T)
        unknown = (along @ self.unknown).square().sum(1, keepdim=True)
        squares = torch.cat([known.clamp_min(0), unknown], 1) + outside.square().sum(1, keepdim=True)
        return (squares / block.shape[1] + 1e-6).log()[:, self.rows]

    def nearest_other(self, distances: Float[Tensor, "image label"], labels: Labels) -> Float[Tensor, "image 1"]:
        """Smallest distance to a label that has images and is not the one in question.

        Labels without images have one distance, small for whatever is typical of any label; it would stand in front of
        all others. It counts only where fewer than two labels have images.
        """
        is_known = self.rows < self.means.shape[0]
        others = distances.masked_fill(~is_known, torch.inf) if self.means.shape[0] > 1 else distances
        return others.scatter(1, labels[:, None], torch.inf).amin(1, keepdim=True)

    def log_distances_between(
        self, block: Float[Tensor, "image dimension"], others: Float[Tensor, "other dimension"], _label: int
    ) -> Float[Tensor, "image other"]:
        """The same between images, whose label does not matter: one covariance holds for all."""
        along, outside = self._split((block[:, None] - others).flatten(0, 1) / self.unit)
        squares = (along.square().sum(1) + outside.square().sum(1)) / block.shape[1]
        return (squares + 1e-6).log().view(len(block), len(others))

    def _split(
        self, standard: Float[Tensor, "point dimension"]
    ) -> tuple[Float[Tensor, "point rank"], Float[Tensor, "point dimension"]]:
        """Coordinates along the basis, and what lies outside, both in standard deviations within a label."""
        along = standard @ self.basis
        return along * self.scale, (standard - along @ self.basis.T) * self.outside
