"""Fits the Gaussians of typical representations."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from sklearn.covariance import ledoit_wolf
from torch import Tensor

from detector.calibration.low_rank_fit import fit_low_rank
from detector.potentials import Gaussians, LabelGaussians, blocks_of, cross_entropy
from detector.prototypes.prototype_set import PrototypeSet
from detector.types import CalibrationError, Classifier, LabelledImages, Labels, to_pixels

LARGE_DIMENSION = 256
"""Dimensions beyond which a block's covariance is kept at low rank: a full one, and as many means as there are labels,
would grow with the square of a layer's width, and that of the logits with the square of the number of labels."""


@torch.no_grad()
def fit_gaussians(classifier: Classifier, data: LabelledImages, chunk: int) -> Mapping[str, Gaussians]:
    """One Gaussian a label for every block of the representations, from correctly classified images.

    Raises:
        CalibrationError: the classifier's outputs are not finite, or hardly any image is classified correctly.
    """
    if len(data) == 0:
        raise CalibrationError(
            "no held-out image is left to fit the statistics on; give more, or lower the other shares"
        )
    collected: dict[str, list[Tensor]] = {}
    labels: list[Tensor] = []
    for start in range(0, len(data), chunk):
        part = data[start : start + chunk]
        outputs = classifier(to_pixels(part.images, classifier.device))
        correct = outputs.logits.argmax(1).cpu() == part.labels
        for name, block in blocks_of(outputs.logits, outputs.representations).items():
            collected.setdefault(name, []).append(block.cpu()[correct])
        labels.append(part.labels[correct])
    all_labels = torch.cat(labels)
    blocks = {name: torch.cat(parts) for name, parts in collected.items()}
    for name, block in blocks.items():
        if not block.isfinite().all():
            raise CalibrationError(
                f"the classifier's {name} are not finite on held-out images; check its weights and normalisation"
            )
    if len(all_labels) < 2:
        raise CalibrationError(
            f"the classifier gets {len(all_labels)} of {len(data)} held-out images right, too few for statistics; "
            "check labels, preprocessing and normalisation"
        )
    return {name: _fit_block(block, all_labels, len(classifier.labels)) for name, block in blocks.items()}


def _fit_block(block: Tensor, labels: Labels, n_labels: int) -> Gaussians:
    fit = fit_low_rank if block.shape[1] > LARGE_DIMENSION else _fit_full
    return fit(block, labels, n_labels)


def _fit_full(block: Tensor, labels: Labels, n_labels: int) -> LabelGaussians:
    """Means by label, and Ledoit–Wolf covariances: by label where every label has as many images as dimensions, else
    one of the deviations from the means, shared. A label without images gets the mean of all.
    """
    values = block.double().numpy()
    means = np.repeat(values.mean(0, keepdims=True), n_labels, 0)
    members = [np.flatnonzero(labels.numpy() == label) for label in range(n_labels)]
    for label, member in enumerate(members):
        if len(member):
            means[label] = values[member].mean(0)
    deviations = values - means[labels.numpy()]
    # Shrinkage pulls towards equal variances, so every dimension is brought to its own unit first.
    unit = np.maximum(deviations.std(0), 1e-3 * deviations.std() or 1.0)
    scaled = deviations / unit
    if min(len(member) for member in members) >= values.shape[1]:
        covariances = [ledoit_wolf(scaled[member], assume_centered=True)[0] for member in members]
    else:
        covariances = [ledoit_wolf(scaled, assume_centered=True)[0]]
    whitening = np.stack([_inverse_root(covariance) / unit for covariance in covariances])
    return LabelGaussians(means=torch.from_numpy(means).float(), whitening=torch.from_numpy(whitening).float())


def _inverse_root(covariance: np.ndarray) -> np.ndarray:
    """W with WᵀW = covariance⁻¹; directions without variance are kept from becoming infinite."""
    values, vectors = np.linalg.eigh(covariance)
    floor = max(values.max() * 1e-6, 1e-12)
    root: np.ndarray = vectors.T / np.sqrt(np.maximum(values, floor))[:, None]
    return root


@torch.no_grad()
def prototype_profiles(classifier: Classifier, prototypes: PrototypeSet) -> Float[Tensor, "label prototype"]:
    """Cross-entropy of each prototype for its own label, in nats; 0 where there is none."""
    n_labels, n_prototypes = prototypes.images.shape[:2]
    profiles = torch.zeros(n_labels, n_prototypes)
    for label in prototypes.available.nonzero()[:, 0].tolist() if n_prototypes else []:
        pixels = to_pixels(prototypes.images[label], classifier.device)
        labels = torch.full((n_prototypes,), label, device=pixels.device)
        profiles[label] = cross_entropy(classifier(pixels).logits, labels).cpu()
    return profiles
