"""Distance to the nearest class in every layer, weighed by a logistic regression (Lee et al. 2018, arXiv 1807.03888).

Without the paper's change of the input along the gradient, which would cost a backward pass a layer, and with a shrunk
covariance, since far fewer images than the classifier's training set are at hand.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float64
from sklearn.covariance import ledoit_wolf
from torch import Tensor

from detector.evaluation.baselines.layers import Layers, layers_of
from detector.evaluation.baselines.nearest_neighbours import exact_distances
from detector.evaluation.baselines.regression import LogisticScore, fit_logistic_score
from detector.types import Classifier, Images, Labels


@dataclasses.dataclass(frozen=True, kw_only=True)
class TiedGaussians:
    """One Gaussian a label, all of one covariance.

    Attributes:
        whitening: makes the covariance the identity.
        means: whitened, of the labels that images were seen of.
    """

    whitening: Float64[Tensor, "dimension dimension"]
    means: Float64[Tensor, "seen dimension"]

    def distances(self, values: Float64[Tensor, "image dimension"]) -> Float64[Tensor, " image"]:
        """Squared Mahalanobis distance to the nearest mean."""
        return exact_distances(values @ self.whitening.T, self.means).amin(1).square()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mahalanobis:
    """Log-odds of a proxy, from the distances in all layers."""

    classifier: Classifier
    gaussians: Mapping[str, TiedGaussians]
    weigh: LogisticScore
    name: str = "mahalanobis"
    title: str = "Mahalanobis distances, all layers (Lee et al. 2018)"
    forward_equivalents: float = 1.0

    def measure(self, images: Images) -> Float64[Tensor, " image"]:
        """One forward pass an image."""
        return self.weigh(distances_by_layer(self.gaussians, layers_of(self.classifier(images))))


def distances_by_layer(gaussians: Mapping[str, TiedGaussians], layers: Layers) -> Float64[Tensor, "image layer"]:
    """Squared distance to the nearest class, layer by layer."""
    return torch.stack([gaussians[name].distances(values) for name, values in layers.items()], 1)


def fit_tied_gaussians(values: Float64[Tensor, "image dimension"], labels: Labels) -> TiedGaussians:
    """Means by true label; the covariance of the deviations from them, shrunk (Ledoit & Wolf 2004)."""
    seen, places = np.unique(labels.numpy(), return_inverse=True)
    means = torch.stack([values[labels == label].mean(0) for label in seen.tolist()])
    covariance = ledoit_wolf((values - means[places]).numpy(), assume_centered=True)[0]
    variances, directions = np.linalg.eigh(covariance)
    # Nothing is known of directions in which images do not differ.
    floor = max(variances.max() * 1e-6, 1e-12)
    whitening = torch.from_numpy(directions.T / np.sqrt(np.maximum(variances, floor))[:, None])
    return TiedGaussians(whitening=whitening, means=means @ whitening.T)


def fit_mahalanobis(
    classifier: Classifier, statistics: Layers, labels: Labels, clean: Layers, proxies: Layers
) -> Mahalanobis:
    """Gaussians from some clean images; how much each layer counts from others and proxies."""
    gaussians = {name: fit_tied_gaussians(values, labels) for name, values in statistics.items()}
    features = (distances_by_layer(gaussians, layers) for layers in (clean, proxies))
    return Mahalanobis(classifier=classifier, gaussians=gaussians, weigh=fit_logistic_score(*features))
