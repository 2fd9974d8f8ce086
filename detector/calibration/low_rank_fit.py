"""Fits one covariance of low rank, and means that lie in the span of few directions, to blocks of many dimensions."""

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.utils.extmath import randomized_svd
from torch import Tensor

from detector.low_rank import LowRankGaussians
from detector.types import Labels

Values = NDArray[np.float64]

WITHIN_RANK = 64
"""Most directions in which images of one label are told to vary more than in others."""

BETWEEN_RANK = 128
"""Most further directions in which the means of labels may differ."""

FEWEST_IMAGES = 2
"""Images that a label needs for a mean of its own; of one image it cannot be told how far others lie from it."""


def fit_low_rank(block: Tensor, labels: Labels, n_labels: int) -> LowRankGaussians:
    """The Ledoit–Wolf covariance that all labels share, its directions beyond noise kept and the rest averaged.

    That is what the likelihood of probabilistic PCA has as its maximum (Tipping & Bishop 1999), were the covariance
    not shrunk. Means keep the directions in which they differ most. Nothing is as large as a square of labels.

    Args:
        block: shape (image, dimension).
    """
    values, rows = block.double().numpy(), labels.numpy()
    known = np.flatnonzero(np.bincount(rows, minlength=n_labels) >= FEWEST_IMAGES)
    means = np.stack([values[rows == label].mean(0) for label in known]) if len(known) else values[:0]
    deviations = _deviations(values, rows, known, means)
    centre = means.mean(0) if len(known) else values.mean(0)
    # Shrinkage pulls towards equal variances, so every dimension is brought to its own unit first.
    unit = np.maximum(_root_mean_square(deviations, 0), 1e-3 * _root_mean_square(deviations) or 1.0)
    within, variances, outside = _shrunk(deviations / unit, n_free=max(1, len(deviations) - max(1, len(known))))
    centred = (means - centre) / unit
    between = _directions(centred - centred @ within @ within.T, BETWEEN_RANK)
    basis = np.concatenate([within, between], 1)
    scale = 1 / np.sqrt(np.concatenate([variances, np.full(between.shape[1], outside)]))
    white = centred @ basis * scale
    found = {
        "centre": centre,
        "unit": unit,
        "basis": basis,
        "scale": scale,
        "outside": np.asarray(1 / np.sqrt(outside)),
        "means": white,
        "unknown": _unknown(white),
    }
    tensors = {name: torch.from_numpy(array).float() for name, array in found.items()}
    return LowRankGaussians(**tensors, rows=_rows(known, n_labels))


def _deviations(values: Values, rows: NDArray[np.int64], known: NDArray[np.int64], means: Values) -> Values:
    """Of images from the mean of their label; lengthened, since a mean of few images lies too near to each of them.

    Where no label has a mean, from that of all images.
    """
    if len(known) == 0:
        return np.asarray(values - values.mean(0))
    parts = [
        (values[rows == label] - mean) * np.sqrt((n := int((rows == label).sum())) / (n - 1))
        for label, mean in zip(known, means, strict=True)
    ]
    return np.concatenate(parts)


def _shrunk(deviations: Values, n_free: int) -> tuple[Values, Values, float]:
    """Directions of largest variance as columns, the variance along each, and that in every direction besides.

    Args:
        n_free: how many of the deviations are independent.
    """
    n_images, dimension = deviations.shape
    shrinkage = float(ledoit_wolf_shrinkage(deviations, assume_centered=True))
    total = max(float(np.square(deviations).sum()) / n_images, 1e-12)
    directions = _directions(deviations, min(WITHIN_RANK, n_free, dimension // 2))
    variances = np.square(deviations @ directions).sum(0) / n_images
    rank = _n_beyond_noise(variances, total, n_free, dimension)
    directions, variances = directions[:, :rank], variances[:rank]
    # What never varied among few images may well vary in others.
    floor = 1e-3 * total / dimension
    shrunk, outside = (
        (1 - shrinkage) * part + shrinkage * total / dimension + floor
        for part in (variances, _rest(variances, total, n_free, dimension))
    )
    return directions, shrunk, outside


def _n_beyond_noise(variances: Values, total: float, n_free: int, dimension: int) -> int:
    """How many of the largest variances are larger than so few images show where all are equal; at least one.

    The edge is that of Marchenko & Pastur (1967). A direction kept for its chance variance would be mistaken for one in
    which images vary, and whatever lies elsewhere for an outlier.
    """
    edge = (1 + np.sqrt(dimension / n_free)) ** 2
    rank = 0
    while rank < len(variances) and variances[rank] > edge * _rest(variances[:rank], total, n_free, dimension):
        rank += 1
    return max(1, rank)


def _rest(variances: Values, total: float, n_free: int, dimension: int) -> float:
    """Variance in each direction besides those given, which have taken a share of the noise with them."""
    rank = len(variances)
    left = max(total - float(variances.sum()), 0.0) / (dimension - rank)
    return left * n_free / max(1, n_free - rank)


def _directions(vectors: Values, n_most: int) -> Values:
    """Orthonormal columns that span what the vectors have most of, the largest first; fewer where fewer do."""
    n_most = min(n_most, *vectors.shape)
    if n_most == 0 or not vectors.any():
        return np.zeros((vectors.shape[1], 0))
    _, sizes, directions = randomized_svd(vectors, n_most, random_state=0)
    return np.ascontiguousarray(directions[sizes > 1e-6 * sizes[0]].T)


def _unknown(means: Values) -> Values:
    """W with |W y|² the squared distance to a label whose mean is drawn as the known ones were."""
    covariance = np.eye(means.shape[1]) + means.T @ means / max(1, len(means) - 1)
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors / np.sqrt(values)) @ vectors.T)


def _rows(known: NDArray[np.int64], n_labels: int) -> Tensor:
    rows = torch.full((n_labels,), len(known), dtype=torch.int64)
    rows[torch.from_numpy(known)] = torch.arange(len(known))
    return rows


def _root_mean_square(values: Values, axis: int | None = None) -> Values:
    return np.asarray(np.sqrt(np.square(values).mean(axis)))
