"""The small network that judges the evidence of the paths."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Head(nn.Module):
    """Standardises the features and maps them to the log-odds of an attack.

    Args:
        n_features: features of one image.
        hidden: widths of the hidden layers; none makes it linear.
        dropout: share of hidden units dropped in training.
    """

    mean: Tensor
    scale: Tensor

    LIMIT = 8.0
    """Standardised features are cut off here, so that no single one of an odd image decides alone."""

    def __init__(self, n_features: int, hidden: Sequence[int], dropout: float = 0.2) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))
        layers: list[nn.Module] = []
        width = n_features
        for next_width in hidden:
            layers += [nn.Linear(width, next_width), nn.ReLU(), nn.Dropout(dropout)]
            width = next_width
        self.layers = nn.Sequential(*layers, nn.Linear(width, 1))

    def standardise_by(self, features: Float[Tensor, "image feature"]) -> None:
        """Take mean and scale from these features; one that never changes is only centred."""
        self.mean.copy_(features.mean(0))
        deviation = features.std(0, correction=min(1, len(features) - 1))
        self.scale.copy_(torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation)))

    def forward(self, features: Float[Tensor, "image feature"]) -> Float[Tensor, " image"]:
        """Log-odds of an attack; NaN features give NaN."""
        return self._judged(self._standardised(features).clamp(-self.LIMIT, self.LIMIT))

    def passing_gradients(self, features: Float[Tensor, "image feature"]) -> Float[Tensor, " image"]:
        """The same log-odds, whose gradient ignores that features are cut off.

        Where they are, an attacker who takes the true gradient sees none and is stopped by that alone, which would
        make the head look more robust than it is (Athalye et al. 2018, arXiv 1802.00420).
        """
        standardised = self._standardised(features)
        cut_off = (standardised.clamp(-self.LIMIT, self.LIMIT) - standardised).detach()
        return self._judged(standardised + cut_off)

    def _standardised(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.scale

    def _judged(self, standardised: Tensor) -> Tensor:
        score: Tensor = self.layers(standardised)
        return score[:, 0]
