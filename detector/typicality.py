"""A head that has met clean images alone: how far the evidence lies from theirs, whichever way."""

import torch
from jaxtyping import Float
from torch import Tensor

from detector.scorer import StandardisingScorer


class Typicality(StandardisingScorer):
    """Logarithm of the squared Mahalanobis distance per feature; about 0 for a typical image.

    Without an attack to learn from nothing says which side of a feature is the suspicious one. A squared distance
    counts both: an image that looks far too sure and one that looks far too unsure are as untypical as each other.

    Attributes:
        centre: of the standardised features of clean images, after the cut-off, shape (feature,).
        whitening: `|whitening @ (x - centre)|²` is the squared distance, shape (feature, feature).
    """

    centre: Tensor
    whitening: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features)
        self.register_buffer("centre", torch.zeros(n_features))
        self.register_buffer("whitening", torch.eye(n_features))

    def _judged(self, standardised: Float[Tensor, "image feature"]) -> Float[Tensor, " image"]:
        white = (standardised - self.centre) @ self.whitening.T
        return (white.square().mean(1) + 1e-6).log()
