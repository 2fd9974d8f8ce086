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
        scores: log-odds of the head, or, where images may leave early, what `detector.early_exit` makes of them; shape
            (image,).
        profiles: cross-entropy in nats from image to prototype, shape (image, prototype, waypoint), ends included.
        has_left: which images left after a first look. Of them everything that was not measured is no number:
            features, takeover, claims, and the profiles between image and prototype.
    """

    paths: PathEvidence
    scores: Float[Tensor, " image"]
    profiles: Float[Tensor, "image prototype waypoint"]
    has_left: Bool[Tensor, " image"]

    @property
    def is_finite(self) -> Bool[Tensor, " image"]:
        """Whether everything that a verdict reports is a number; it reports no profile of an image that has left."""
        at_image = torch.cat([self.scores[:, None], self.paths.logits], 1).isfinite().all(1)
        return at_image & (self.has_left | self.profiles.flatten(1).isfinite().all(1))
