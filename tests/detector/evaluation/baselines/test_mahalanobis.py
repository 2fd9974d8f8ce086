from typing import Any

import pytest
import torch

from detector.evaluation.baselines.layers import layers_of_all
from detector.evaluation.baselines.mahalanobis import distances_by_layer, fit_mahalanobis, fit_tied_gaussians


def _normal(n: int, dimension: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, dimension, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_point_at_a_mean_is_at_no_distance_and_others_are_farther() -> None:
    values, labels = _normal(400, 2), torch.arange(400) % 2
    values[labels == 1] += 10
    gaussians = fit_tied_gaussians(values, labels)
    means = torch.stack([values[labels == label].mean(0) for label in (0, 1)])
    assert gaussians.distances(means).tolist() == pytest.approx([0, 0], abs=1e-9)
    assert (gaussians.distances(means + torch.tensor([0.5, -0.5])) > 0.3).all()


def test_distances_are_measured_in_deviations_within_the_labels() -> None:
    # Within labels the deviations are 3 and 1/2, between the labels it is far more.
    values, labels = _normal(20_000, 2) * torch.tensor([3.0, 0.5]), torch.arange(20_000) % 2
    values[labels == 1] += torch.tensor([100.0, 0.0])
    gaussians = fit_tied_gaussians(values, labels)
    found = gaussians.distances(torch.tensor([[6.0, 0.0], [0.0, 1.0], [106.0, 1.0]], dtype=torch.float64))
    assert found.tolist() == pytest.approx([4, 4, 8], rel=0.05)


def test_labels_that_no_image_was_seen_of_attract_nothing() -> None:
    gaussians = fit_tied_gaussians(_normal(50, 2) + 20, torch.full((50,), 3))
    assert gaussians.distances(torch.zeros(1, 2, dtype=torch.float64)).item() > 100


def test_a_dead_layer_neither_fails_nor_counts() -> None:
    gaussians = fit_tied_gaussians(torch.zeros(20, 3, dtype=torch.float64), torch.arange(20) % 2)
    assert gaussians.distances(torch.zeros(1, 3, dtype=torch.float64)).tolist() == [0.0]


def test_images_unlike_any_label_score_higher_than_clean_ones(corners: Any, corner_images: Any) -> None:
    data, others = corner_images(200, seed=1), corner_images(80, seed=2)
    clean = others.images / 255
    strange = (clean + 0.2 * torch.rand(clean.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    statistics = layers_of_all(corners, data.images / 255)
    layers = (layers_of_all(corners, clean[:40]), layers_of_all(corners, strange[:40]))
    baseline = fit_mahalanobis(corners, statistics, data.labels, *layers)
    assert baseline.measure(strange[40:]).median() > baseline.measure(clean[40:]).amax()
    assert distances_by_layer(baseline.gaussians, layers[0]).shape == (40, 2)
