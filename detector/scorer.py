"""What heads have in common: one score an image, mostly of features in their own unit, cut off."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Scorer(nn.Module):
    """Makes one score of the features of an image; the higher, the less it is like clean ones.

    Args:
        n_features: features of one image.
    """

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.n_features = n_features

    def forward(self, features: Float[Tensor, "image feature"]) -> Float[Tensor, " image"]:
        """The score of each image; NaN features give NaN."""
        raise NotImplementedError

    def passing_gradients(self, features: Float[Tensor, "image feature"]) -> Float[Tensor, " image"]:
        """The same score, whose gradient ignores that features are cut off.

        Where they are, an attacker who takes the true gradient sees none and is stopped by that alone, which would
        make the head look more robust than it is (Athalye et al. 2018, arXiv 1802.00420).
        """
        raise NotImplementedError


class StandardisingScorer(Scorer):
    """Brings each feature to its own unit before it judges them together.

    Args:
        n_features: features of one image.
    """

    mean: Tensor
    scale: Tensor

    LIMIT = 8.0
    """Standardised features are cut off here, so that no single one of an odd image decides alone."""

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features)
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))

    def forward(self, features: Float[Tensor, "image feature"]) -> Float[Tensor, " image"]:
        return self._judged(self._standardised(features).clamp(-self.LIMIT, self.LIMIT))

    def passing_gradients(self, features: Float[Tensor, "image feature"]) -> Float[Tensor, " image"]:
        standardised = self._standardised(features)
        cut_off = (standardised.clamp(-self.LIMIT, self.LIMIT) - standardised).detach()
        return self._judged(standardised + cut_off)

    def _standardised(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.scale

    def _judged(self, standardised: Tensor) -> Tensor:
        raise NotImplementedError
