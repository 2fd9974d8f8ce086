"""Distance to the k-th nearest clean image in the penultimate features (Sun et al. 2022, arXiv 2204.06507)."""

import dataclasses

import torch
from jaxtyping import Float64
from torch import Tensor
from torch.nn import functional

from detector.evaluation.baselines.layers import layers_of, penultimate
from detector.evaluation.metrics import auroc
from detector.types import Classifier, Images

NEIGHBOURS = (1, 5, 10, 20, 50)
"""Which neighbours are tried."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NearestNeighbours:
    """Features of length one; the distance to the k-th nearest reference.

    Attributes:
        references: of clean images, of length one.
    """

    classifier: Classifier
    references: Float64[Tensor, "reference dimension"]
    k: int
    name: str = "nearest-neighbours"
    title: str = "k-th nearest neighbour, penultimate features (Sun et al. 2022)"
    forward_equivalents: float = 1.0

    def measure(self, images: Images) -> Float64[Tensor, " image"]:
        """One forward pass an image."""
        features = penultimate(layers_of(self.classifier(images)))
        return distances_to_neighbours(features, self.references, self.k)[:, -1]


def distances_to_neighbours(
    features: Float64[Tensor, "image dimension"], references: Float64[Tensor, "reference dimension"], k: int
) -> Float64[Tensor, "image neighbour"]:
    """Distances of the features, brought to length one, to the k nearest references, ascending."""
    distances = exact_distances(functional.normalize(features), references)
    return distances.topk(k, 1, largest=False).values


def exact_distances(
    first: Float64[Tensor, "image dimension"], second: Float64[Tensor, "reference dimension"]
) -> Float64[Tensor, "image reference"]:
    """Euclidean distances, exactly zero between equals and independent of the batch."""
    return torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")


def fit_nearest_neighbours(
    classifier: Classifier,
    statistics: Float64[Tensor, "reference dimension"],
    clean: Float64[Tensor, "clean dimension"],
    proxies: Float64[Tensor, "proxy dimension"],
) -> NearestNeighbours:
    """References are as they come; which neighbour counts is what tells proxies from other clean images best."""
    references = functional.normalize(statistics)
    tried = [k for k in NEIGHBOURS if k <= len(references)]
    nearest_clean, nearest_proxies = (
        distances_to_neighbours(features, references, tried[-1]).numpy() for features in (clean, proxies)
    )
    k = max(tried, key=lambda k: auroc(nearest_clean[:, k - 1], nearest_proxies[:, k - 1]))
    return NearestNeighbours(classifier=classifier, references=references, k=k)
