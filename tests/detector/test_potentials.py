import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis
from torch import Tensor

from detector.potentials import (
    LabelGaussians,
    blocks_of,
    cross_entropy,
    log_cross_entropy,
    log_odds_against,
    margin,
    pooled,
)

SECOND = torch.tensor([1])
POTENTIALS = [margin, log_odds_against, cross_entropy, log_cross_entropy]


def _logits(seed: int, scale: float) -> Tensor:
    return scale * torch.randn(50, 7, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0, 100.0])
def test_cross_entropy_is_that_of_double_precision(scale: float) -> None:
    logits, labels = _logits(0, scale), torch.arange(50) % 7
    reference = -logits.double().log_softmax(1).gather(1, labels[:, None])[:, 0]
    # A difference of logits is exact to some ulps of the logits, and so is the cross-entropy's relative error.
    torch.testing.assert_close(cross_entropy(logits, labels).double(), reference, rtol=1e-5 * max(1, scale), atol=1e-30)


@pytest.mark.parametrize("log_odds", [-1e4, -69.1, -30.0, -12.001, -11.999, -1.0, 0.0, 5.0, 69.1, 1e4])
def test_log_cross_entropy_tells_apart_even_probabilities_of_1e_30(log_odds: float) -> None:
    logits = torch.tensor([[log_odds, 0.0]])
    # ln ln(1 + e^x), which for x far below zero is x itself.
    expected = log_odds if log_odds < -600 else math.log(math.log1p(math.exp(min(log_odds, 600))))
    if log_odds > 600:
        expected = math.log(log_odds)
    assert log_cross_entropy(logits, SECOND).item() == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_a_label_of_probability_1e_30_costs_its_negative_logarithm() -> None:
    logits = torch.tensor([[30 * math.log(10), 0.0]])
    assert cross_entropy(logits, SECOND).item() == pytest.approx(30 * math.log(10), rel=1e-6)
    assert cross_entropy(logits, torch.tensor([0])).item() == pytest.approx(1e-30, rel=1e-4)


def test_log_odds_count_all_other_labels_together() -> None:
    # Odds of (1 + 3) to 2.
    logits = torch.tensor([[1.0, 2.0, 3.0]]).log()
    assert log_odds_against(logits, SECOND).item() == pytest.approx(math.log(2), rel=1e-6)


def test_the_margin_is_against_the_best_of_the_others() -> None:
    logits = torch.tensor([[1.0, 5.0, 3.0], [9.0, 5.0, 3.0]])
    assert margin(logits, torch.tensor([1, 1])).tolist() == [2.0, -4.0]


@pytest.mark.parametrize("potential", POTENTIALS)
@pytest.mark.parametrize(
    "values", [(0.0, 0.0, 0.0), (1e4, -1e4, 0.0), (-1e4, 1e4, 0.0), (12.0, 0.0, -3.0), (80.0, 0.0, 80.0)]
)
def test_gradients_are_finite_everywhere(
    potential: Callable[[Tensor, Tensor], Tensor], values: tuple[float, float, float]
) -> None:
    logits = torch.tensor([values], requires_grad=True)
    value = potential(logits, SECOND)
    value.sum().backward()
    assert value.isfinite().all()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_the_slope_of_the_log_cross_entropy_of_a_sure_label_is_one() -> None:
    logits = torch.tensor([[-40.0, 0.0]], requires_grad=True)
    log_cross_entropy(logits, SECOND).sum().backward()
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, torch.tensor([[1.0, -1.0]]))


def test_a_vector_is_pooled_to_itself() -> None:
    vector = torch.tensor([[1.0, 2.0, 3.0]])
    assert torch.equal(pooled(vector), vector)


def test_a_map_is_pooled_to_mean_and_deviation_of_its_channels() -> None:
    channels = torch.tensor([[[[1.0, 3.0], [1.0, 3.0]], [[5.0, 5.0], [5.0, 5.0]]]])
    torch.testing.assert_close(pooled(channels), torch.tensor([[2.0, 5.0, 1.0, 1e-4]]))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_maps_are_pooled_as_exactly_as_float32_allows_however_they_lie_in_memory(layout: torch.memory_format) -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(3, 4, 8, 8, generator=generator)
    # Deviations of 1e-3 about means of 1 and 10, and a channel that is constant.
    maps[:, 1:3] = torch.tensor([1.0, 10.0]).view(1, 2, 1, 1) + 1e-3 * maps[:, 1:3]
    maps[:, 3] = 0.3
    cells = maps.double().flatten(2)
    exact = torch.cat([cells.mean(2), (cells.var(2, unbiased=False) + 1e-8).sqrt()], 1).float()
    torch.testing.assert_close(pooled(maps.contiguous(memory_format=layout)), exact, rtol=2e-5, atol=0)


def test_tokens_are_pooled_over_the_tokens() -> None:
    tokens = torch.tensor([[[1.0, 10.0], [3.0, 30.0]]])
    torch.testing.assert_close(pooled(tokens), torch.tensor([[2.0, 20.0, 1.0, 10.0]]))


def test_a_dead_channel_has_a_finite_slope() -> None:
    channels = torch.zeros(1, 2, 3, 3, requires_grad=True)
    pooled(channels).sum().backward()
    assert channels.grad is not None
    assert channels.grad.isfinite().all()


def test_the_logits_are_a_block_beside_every_representation() -> None:
    logits = torch.ones(1, 2)
    blocks = blocks_of(logits, {"stage": torch.ones(1, 3, 2, 2), "features": torch.ones(1, 5)})
    assert {name: block.shape[1] for name, block in blocks.items()} == {"stage": 6, "features": 5, "logits": 2}


def _whitened(covariance: np.ndarray) -> np.ndarray:
    return np.linalg.cholesky(np.linalg.inv(covariance)).T


def _covariance(seed: int, dimension: int) -> np.ndarray:
    root = np.random.default_rng(seed).normal(size=(dimension, dimension))
    return root @ root.T + 0.5 * np.eye(dimension)


@pytest.mark.parametrize("n_covariances", [1, 3])
@pytest.mark.parametrize("n_images", [1, 4, 60])
def test_distances_are_those_of_mahalanobis(n_covariances: int, n_images: int) -> None:
    random = np.random.default_rng(0)
    block, means = random.normal(size=(n_images, 5)), random.normal(size=(3, 5))
    covariances = [_covariance(seed, 5) for seed in range(n_covariances)]
    whitening = np.stack([_whitened(covariance) for covariance in covariances])
    gaussians = LabelGaussians(means=torch.tensor(means).float(), whitening=torch.tensor(whitening).float())
    found = gaussians.log_distances(torch.tensor(block).float())
    for image in range(n_images):
        for label in range(3):
            precision = np.linalg.inv(covariances[label % n_covariances])
            squared = mahalanobis(block[image], means[label], precision) ** 2 / 5
            assert found[image, label].item() == pytest.approx(math.log(squared + 1e-6), abs=1e-4)


@pytest.mark.parametrize("n_covariances", [1, 2])
def test_the_distance_of_a_mean_to_itself_is_finite_with_a_finite_slope(n_covariances: int) -> None:
    means = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    gaussians = LabelGaussians(means=means, whitening=torch.eye(2).repeat(n_covariances, 1, 1))
    block = means[:1].clone().requires_grad_(True)
    distances = gaussians.log_distances(block)
    distances.sum().backward()
    assert distances[0, 0].item() == pytest.approx(math.log(1e-6), rel=1e-5)
    assert distances[0, 1].item() == pytest.approx(math.log(4.0), rel=1e-5)
    assert block.grad is not None
    assert block.grad.isfinite().all()


@pytest.mark.parametrize("n_covariances", [1, 2])
def test_the_distance_of_an_image_does_not_depend_on_how_many_come_with_it(n_covariances: int) -> None:
    """Far from the origin the expanded square of a difference loses all its digits."""
    random = torch.Generator().manual_seed(0)
    means = 1000 + torch.randn(2, 8, generator=random)
    block = 1000 + torch.randn(64, 8, generator=random)
    gaussians = LabelGaussians(means=means, whitening=torch.eye(8).repeat(n_covariances, 1, 1))
    together = gaussians.log_distances(block)
    alone = torch.cat([gaussians.log_distances(one) for one in torch.split(block, 1)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    reference = ((block.double()[:, None] - means.double()).square().mean(2) + 1e-6).log()
    torch.testing.assert_close(together.double(), reference, atol=1e-3, rtol=0)
