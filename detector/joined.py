"""Two heads in one: a learned one that met proxies, and how far an image lies from clean ones."""

import torch
from jaxtyping import Float
from torch import Tensor

from detector.head import Head
from detector.scorer import Scorer
from detector.typicality import Typicality


class Joined(Scorer):
    """Sum of both scores, each counted from the middle of what clean images score and in units of its upper spread.

    Proxies that are unlike an attack teach a head little about it, or the wrong thing; what is untypical of clean
    images stays so whatever the proxies were. Neither part outvotes the other for the unit that it happens to have.

    Args:
        learned, typicality: judge the same features.

    Attributes:
        middle: what a clean image scores with either, shape (part,), the learned head first.
        spread: how far above lie the few clean images that score highest, shape (part,).
    """

    middle: Tensor
    spread: Tensor

    def __init__(self, learned: Head, typicality: Typicality) -> None:
        super().__init__(learned.n_features)
        self.learned = learned
        self.typicality = typicality
        self.register_buffer("middle", torch.zeros(2))
        self.register_buffer("spread", torch.ones(2))

    def forward(self, features: Float[Tensor, "image feature"]) -> Float[Tensor, " image"]:
        return self._sum(self.parts(features))

    def passing_gradients(self, features: Float[Tensor, "image feature"]) -> Float[Tensor, " image"]:
        learned = self.learned.passing_gradients(features)
        return self._sum(torch.stack([learned, self.typicality.passing_gradients(features)], 1))

    def parts(self, features: Float[Tensor, "image feature"]) -> Float[Tensor, "image part"]:
        """What either head says, in its own unit."""
        return torch.stack([self.learned(features), self.typicality(features)], 1)

    def _sum(self, parts: Float[Tensor, "image part"]) -> Float[Tensor, " image"]:
        return ((parts - self.middle) / self.spread).sum(1)
