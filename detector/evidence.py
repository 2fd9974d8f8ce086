"""What the detector knows about some images before it decides."""

import dataclasses

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from detector.profiles import PathEvidence


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the paths of some images show, and what the head makes of it.

    Attributes:
        paths: what the paths show.
        scores: log-odds of the head, shape (image,).
        profiles: cross-entropy in nats from image to prototype, shape (image, prototype, waypoint), ends included.
    """

    paths: PathEvidence
    scores: Float[Tensor, " image"]
    profiles: Float[Tensor, "image prototype waypoint"]

    @property
    def is_finite(self) -> Bool[Tensor, " image"]:
        """Whether everything that a verdict reports is a number."""
        parts = (self.scores[:, None], self.paths.logits, self.profiles.flatten(1))
        return torch.cat(parts, 1).isfinite().all(1)
