"""Detectors of pytorch-ood (Kirchheim et al., CVPR workshops 2022), on what one forward pass gives.

What its authors leave to the user is chosen as their papers do, with proxies: the weight of each layer, and which
neighbour counts. Gaussians and neighbours are those of the fitting images.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from detector.evaluation.baselines.layers import Layers, layers_of, layers_of_all, penultimate
from detector.evaluation.baselines.regression import fit_logistic_score
from detector.evaluation.metrics import auroc
from detector.types import Classifier, Images, Outputs, to_pixels
from service.bench.peers.packages import PYTORCH_OOD, part_of, titled
from service.bench.peers.peer import Peer, PeerMaterial, Scores, in_passes

NEIGHBOURS = (1, 5, 10, 20, 50, 100, 200)
"""Which neighbours are tried; 50 is the paper's for 50,000 images of CIFAR-10."""

USUAL_NEIGHBOUR = 50

Features = Float[Tensor, "image dimension"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class OutputsPeer:
    """A score that follows from what one forward pass gives."""

    classifier: Classifier
    name: str
    source: str
    measure: Callable[[Outputs], Tensor]
    forward_equivalents: float = 1.0
    n_images: int | None = None

    @torch.no_grad()
    def scores(self, images: Images) -> Scores:
        """One forward pass an image."""
        return in_passes(self.classifier, images, lambda part: self.measure(self.classifier(part)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Seen:
    """What the classifier makes of the fitting images, in two halves, and of proxies.

    Attributes:
        labels: without gaps, as pytorch-ood wants them.
    """

    layers: Layers
    labels: Int64[Tensor, " image"]
    proxies: Layers | None

    def half(self, is_first: bool) -> Layers:
        """Every other image."""
        return {name: part[0 if is_first else 1 :: 2] for name, part in self.layers.items()}


def ood_peers(material: PeerMaterial) -> list[Peer]:
    """All of them, fitted.

    Raises:
        MissingPeerError: pytorch-ood is missing.
    """
    library, source = part_of(PYTORCH_OOD, "detector"), titled(PYTORCH_OOD)
    seen = _seen(material)
    energy, softmax = library.EnergyBased(None), library.MaxSoftmax(None)
    mahalanobis = library.Mahalanobis(None).fit_features(penultimate(seen.layers).float(), seen.labels)
    neighbours, k = _neighbours(library.KNN, seen)
    layered, how = _layered(library.MultiMahalanobis, seen)
    measures: dict[str, tuple[str, Callable[[Outputs], Tensor]]] = {
        "Mahalanobis": (
            "Lee et al. 2018 (arXiv 1807.03888), penultimate features",
            lambda outputs: mahalanobis.predict_features(penultimate(layers_of(outputs)).float()),
        ),
        "Mahalanobis, all layers": (f"Lee et al. 2018 (arXiv 1807.03888), {how}", layered),
        "Nearest neighbours": (f"Sun et al. 2022 (arXiv 2204.06507), k = {k}", neighbours),
        "Energy": (
            "Liu et al. 2020 (arXiv 2010.03759), T = 1",
            lambda outputs: energy.predict_logits(outputs.logits.double()),
        ),
        "Max softmax": (
            "Hendrycks & Gimpel 2017 (arXiv 1610.02136)",
            lambda outputs: softmax.predict_logits(outputs.logits.double()),
        ),
    }
    return [
        OutputsPeer(
            classifier=material.classifier, name=f"{name} (pytorch-ood)", source=f"{paper}; {source}", measure=measure
        )
        for name, (paper, measure) in measures.items()
    ]


def _seen(material: PeerMaterial) -> _Seen:
    classifier = material.classifier
    order = torch.randperm(len(material.fitting), generator=material.generator)
    fitting = material.fitting[order]
    return _Seen(
        layers=layers_of_all(classifier, to_pixels(fitting.images)),
        labels=torch.from_numpy(np.unique(fitting.labels.numpy(), return_inverse=True)[1]),
        proxies=None if material.proxies is None else layers_of_all(classifier, material.proxies),
    )


def _neighbours(kind: Callable[..., Any], seen: _Seen) -> tuple[Callable[[Outputs], Tensor], int]:
    """The k-th nearest, whose k tells proxies from one half of the images best, given the other half."""
    tried = [k for k in NEIGHBOURS if 2 * k <= len(seen.labels)] or [1]
    k = USUAL_NEIGHBOUR if USUAL_NEIGHBOUR in tried else tried[-1]
    if seen.proxies is not None:
        references, others = (penultimate(seen.half(is_first)).float() for is_first in (True, False))
        proxies = penultimate(seen.proxies).float()

        def separation(k: int) -> float:
            fitted = kind(None, k=k).fit_features(references, seen.labels[::2])
            found = (fitted.predict_features(part).double().numpy() for part in (others, proxies))
            return auroc(*found)

        k = max(tried, key=separation)
    fitted = kind(None, k=k).fit_features(penultimate(seen.layers).float(), seen.labels)
    return lambda outputs: fitted.predict_features(penultimate(layers_of(outputs)).float()), k


def _layered(kind: Callable[..., Any], seen: _Seen) -> tuple[Callable[[Outputs], Tensor], str]:
    """The sum over layers, weighed by a logistic regression of proxies against one half of the images."""
    n_layers = len(seen.layers)
    weights, how = [1.0] * n_layers, "all layers alike"
    if seen.proxies is not None:
        half = kind([None] * n_layers).fit_structured(_single(seen.half(True)), seen.labels[::2])
        distances = (_distances(half, layers) for layers in (seen.half(False), seen.proxies))
        weights = fit_logistic_score(*distances).weights.tolist()
        how = "layers weighed by proxies"
    # Gaussians of twice as many images have twice as large sums of squares in every layer alike.
    fitted = kind([None] * n_layers, alpha=weights).fit_structured(_single(seen.layers), seen.labels)
    return lambda outputs: fitted.predict_structured(_single(layers_of(outputs))), how


def _single(layers: Layers) -> list[Tensor]:
    return [part.float() for part in layers.values()]


def _distances(fitted: Any, layers: Layers) -> Tensor:
    """Of each layer alone, shape (image, layer)."""
    parts = _single(layers)
    found = []
    for chosen in range(len(parts)):
        fitted.alpha = [float(layer == chosen) for layer in range(len(parts))]
        # Its memory follows the square of the batch.
        chunks = zip(*(torch.split(part, 256) for part in parts), strict=True)
        found.append(torch.cat([fitted.predict_structured(list(chunk)) for chunk in chunks]))
    return torch.stack(found, 1).double()
