"""Networks of random weights on inputs of any dimension: the untrained landscapes that paths are looked for in."""

import dataclasses
import enum
import itertools
import math
from collections.abc import Mapping

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor
from torch.nn import functional

from detector.potentials import cross_entropy
from detector.types import Images
from models.classifier import Outputs
from models.files import tensor_digest

LABEL = 0
"""The label that losses are counted for; random weights prefer none."""

N_LABELS = 10


class WeightScale(enum.StrEnum):
    """How large the random weights are, and with that how fast the loss changes as the input moves.

    USUAL has the variance 2/inputs of He et al. (2015, arXiv 1502.01852) for ReLU. ROUGH has 16/inputs, biases and
    tanh, deep in the chaotic phase of Poole et al. (2016, arXiv 1606.05340), where each layer drives inputs apart.
    """

    USUAL = "usual"
    ROUGH = "rough"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Recipe:
    weight_gain: float
    bias_gain: float
    hidden_layers: int
    activation: str


_RECIPES: Mapping[WeightScale, _Recipe] = {
    WeightScale.USUAL: _Recipe(weight_gain=math.sqrt(2), bias_gain=0.0, hidden_layers=3, activation="relu"),
    WeightScale.ROUGH: _Recipe(weight_gain=4.0, bias_gain=1.0, hidden_layers=5, activation="tanh"),
}


class RandomNetwork:
    """A fully connected network on `dimension` pixels in a row, standardised to variance 1 when they are uniform.

    Weights have the variance gain²/inputs, so that the covariance of two inputs' logits depends on their distance
    divided by √dimension alone, whatever the dimension, as long as layers are wide.
    """

    def __init__(self, scale: WeightScale, *, dimension: int, width: int, generator: Generator) -> None:
        recipe = _RECIPES[scale]
        sizes = [dimension, *[width] * recipe.hidden_layers, N_LABELS]
        self.activation = getattr(torch, recipe.activation)
        self.weights = [
            torch.randn(n_out, n_in, generator=generator) * (recipe.weight_gain / math.sqrt(n_in))
            for n_in, n_out in itertools.pairwise(sizes)
        ]
        self.biases = [torch.randn(n_out, generator=generator) * recipe.bias_gain for n_out in sizes[1:]]
        self.labels = tuple(str(label) for label in range(N_LABELS))
        self.input_shape = (1, 1, dimension)
        self.device = torch.device("cpu")

    def __call__(self, pixels: Images, /) -> Outputs:
        """Logits of rows of pixels in [0, 1]; there are no representations."""
        hidden = (pixels.flatten(1) - 0.5) * math.sqrt(12)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = self.activation(functional.linear(hidden, weight, bias))
        return Outputs(functional.linear(hidden, self.weights[-1], self.biases[-1]), {})

    def digest(self) -> str:
        """sha256 over weights and biases."""
        return tensor_digest([*self.weights, *self.biases])


@torch.no_grad()
def label_losses(network: RandomNetwork, inputs: Images) -> Float[Tensor, " input"]:
    """Cross-entropy of each input to `LABEL`, in nats."""
    return cross_entropy(network(inputs).logits, torch.full((len(inputs),), LABEL))


def quantiles_of(losses: Float[Tensor, " path"], sorted_losses: Float[Tensor, " input"]) -> Float[Tensor, " path"]:
    """Share of the random inputs whose loss is lower; `sorted_losses` are theirs, ascending."""
    return torch.searchsorted(sorted_losses, losses.contiguous()) / len(sorted_losses)


def distant_pairs(
    inputs: Images, chosen: Int64[Tensor, " chosen"], n_pairs: int, generator: Generator
) -> tuple[Int64[Tensor, " pair"], Int64[Tensor, " pair"]]:
    """Random pairs of the chosen inputs that lie as far apart as two random inputs do in many dimensions.

    Their root-mean-square distance is within a fifth of √(1/6). Without that, pairs in few dimensions would often be
    neighbours in one valley. There may be fewer pairs than asked for, or none.
    """
    rows = inputs[chosen].flatten(1)
    distances = torch.cdist(rows, rows) / math.sqrt(rows.shape[1])
    is_distant = (distances / math.sqrt(1 / 6) - 1).abs() <= 0.2
    pairs = is_distant.triu(1).nonzero()
    pairs = pairs[torch.randperm(len(pairs), generator=generator)[:n_pairs]]
    return chosen[pairs[:, 0]], chosen[pairs[:, 1]]
