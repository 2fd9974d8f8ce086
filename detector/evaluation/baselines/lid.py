"""Local intrinsic dimensionality in every layer, weighed by a logistic regression (Ma et al. 2018, arXiv 1801.02613).

Of representations averaged over space, as Lee et al. 2018 re-ran it. An image's dimensionality is averaged over all
minibatches of references, where the paper takes a random one.
"""

import dataclasses
from collections.abc import Mapping

import torch
from jaxtyping import Float64
from torch import Tensor

from detector.evaluation.baselines.layers import Layers, layers_of
from detector.evaluation.baselines.nearest_neighbours import exact_distances
from detector.evaluation.baselines.regression import LogisticScore, fit_logistic_score
from detector.types import Classifier, Images

MINIBATCH = 100
NEIGHBOURS = 20
"""References of a minibatch, and how many of them count as neighbours; the paper's for CIFAR-10."""

Minibatches = Float64[Tensor, "_ _ _"]
"""Shape (minibatch, reference, dimension)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LocalDimensionality:
    """Log-odds of a proxy, from the dimensionality around the image in all layers.

    Attributes:
        references: clean images, by layer.
    """

    classifier: Classifier
    references: Mapping[str, Minibatches]
    weigh: LogisticScore
    name: str = "lid"
    title: str = "Local intrinsic dimensionality, all layers (Ma et al. 2018)"
    forward_equivalents: float = 1.0

    def measure(self, images: Images) -> Float64[Tensor, " image"]:
        """One forward pass an image."""
        return self.weigh(dimensionality_by_layer(self.references, layers_of(self.classifier(images))))


def dimensionality(distances: Float64[Tensor, "*batch neighbour"]) -> Float64[Tensor, "*batch"]:
    """The maximum-likelihood estimate from the distances to the nearest neighbours, ascending.

    `-1 / mean(log(r_i / r_k))` (Amsaleg et al. 2015, doi 10.1145/2783258.2783405); large where all are equally far.
    """
    # The floors only matter for neighbours that coincide with the image, or are all exactly as far.
    ratios = distances.clamp_min(1e-12) / distances[..., -1:].clamp_min(1e-12)
    return -1 / ratios.log().mean(-1).clamp_max(-1e-6)


def dimensionality_by_layer(references: Mapping[str, Minibatches], layers: Layers) -> Float64[Tensor, "image layer"]:
    """Mean over minibatches of the dimensionality around each image, layer by layer."""
    found = []
    for name, values in layers.items():
        n_minibatches, size, _ = references[name].shape
        distances = exact_distances(values, references[name].flatten(0, 1)).view(len(values), n_minibatches, size)
        nearest = distances.topk(min(NEIGHBOURS, size), 2, largest=False).values
        found.append(dimensionality(nearest).mean(1))
    return torch.stack(found, 1)


def fit_local_dimensionality(
    classifier: Classifier, statistics: Layers, clean: Layers, proxies: Layers
) -> LocalDimensionality:
    """Minibatches of some clean images; how much each layer counts from others and proxies."""
    references = {name: _minibatches(values) for name, values in statistics.items()}
    features = (dimensionality_by_layer(references, layers) for layers in (clean, proxies))
    return LocalDimensionality(classifier=classifier, references=references, weigh=fit_logistic_score(*features))


def _minibatches(values: Float64[Tensor, "image dimension"]) -> Minibatches:
    """Whole minibatches, in the order that the images come in; what does not fill one is left out."""
    size = min(MINIBATCH, len(values))
    n_minibatches = len(values) // size
    return values[: n_minibatches * size].view(n_minibatches, size, -1)
