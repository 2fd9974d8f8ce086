"""The small network that judges the evidence of the paths."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from detector.scorer import StandardisingScorer


class Head(StandardisingScorer):
    """Maps the standardised features to the log-odds of an attack.

    Args:
        n_features: features of one image.
        hidden: widths of the hidden layers; none makes it linear.
        dropout: share of hidden units dropped in training.
    """

    def __init__(self, n_features: int, hidden: Sequence[int], dropout: float = 0.2) -> None:
        super().__init__(n_features)
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

    def _judged(self, standardised: Tensor) -> Tensor:
        score: Tensor = self.layers(standardised)
        return score[:, 0]
