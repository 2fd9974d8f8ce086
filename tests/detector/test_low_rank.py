import math

import pytest
import torch
from scipy.spatial.distance import mahalanobis
from torch import Tensor

from detector.low_rank import LowRankGaussians
from detector.potentials import Gaussians, LabelGaussians


def _orthonormal(dimension: int, rank: int) -> Tensor:
    return torch.linalg.qr(torch.randn(dimension, rank, generator=torch.Generator().manual_seed(1)))[0]


@pytest.fixture
def gaussians() -> LowRankGaussians:
    """Of four labels, the third of which has no images, in twelve dimensions; variance 1/4 outside of three."""
    random = torch.Generator().manual_seed(0)
    means = torch.tensor([[3.0, 0.0, 0.0], [0.0, 2.0, -1.0], [-3.0, -2.0, 1.0]])
    spread = torch.eye(3) + means.T @ means / 2
    values, vectors = torch.linalg.eigh(spread)
    return LowRankGaussians(
        centre=torch.randn(12, generator=random),
        unit=0.5 + torch.rand(12, generator=random),
        basis=_orthonormal(12, 3),
        scale=torch.tensor([1.0, 0.5, 0.25]),
        outside=torch.tensor(2.0),
        means=means,
        unknown=vectors / values.sqrt() @ vectors.T,
        rows=torch.tensor([1, 0, 3, 2]),
    )


def _covariance(fit: LowRankGaussians, between: Tensor | None = None) -> Tensor:
    """Of one label in full; with what means vary by, along the basis, added."""
    deviations = torch.diag(1 / fit.scale)
    along = deviations @ (torch.eye(3) if between is None else between) @ deviations
    inside = fit.basis @ along @ fit.basis.T
    rest = (torch.eye(12) - fit.basis @ fit.basis.T) / fit.outside**2
    return torch.diag(fit.unit) @ (inside + rest) @ torch.diag(fit.unit)


def _mean(fit: LowRankGaussians, row: int) -> Tensor:
    return fit.centre + fit.unit * (fit.basis @ (fit.means[row] / fit.scale))


def _block(fit: LowRankGaussians, n_images: int = 40) -> Tensor:
    return fit.centre + 3 * torch.randn(n_images, 12, generator=torch.Generator().manual_seed(2))


def _log_distance(point: Tensor, mean: Tensor, covariance: Tensor) -> float:
    squared = mahalanobis(point.double(), mean.double(), torch.linalg.inv(covariance.double()))
    return math.log(squared**2 / 12 + 1e-6)


def test_distances_are_those_of_the_full_covariance_of_that_form(gaussians: LowRankGaussians) -> None:
    block, covariance = _block(gaussians), _covariance(gaussians)
    found = gaussians.log_distances(block)
    for label, row in ((0, 1), (1, 0), (3, 2)):
        mean = _mean(gaussians, row)
        expected = [_log_distance(point, mean, covariance) for point in block]
        assert found[:, label].tolist() == pytest.approx(expected, abs=1e-4)


def test_they_are_those_of_gaussians_in_full(gaussians: LowRankGaussians) -> None:
    whitening = torch.linalg.inv(torch.linalg.cholesky(_covariance(gaussians).double())).float()
    means = torch.stack([_mean(gaussians, row) for row in (1, 0, 2)])
    full = LabelGaussians(means=means, whitening=whitening[None])
    block, known = _block(gaussians), torch.tensor([0, 1, 3])
    torch.testing.assert_close(gaussians.log_distances(block)[:, known], full.log_distances(block), atol=1e-4, rtol=0)
    between = [fit.log_distances_between(block[:3], block[3:8], 1) for fit in (gaussians, full)]
    torch.testing.assert_close(*between, atol=1e-4, rtol=0)


def test_a_label_without_images_is_as_wide_as_labels_lie_apart(gaussians: LowRankGaussians) -> None:
    block, means = _block(gaussians), gaussians.means
    covariance = _covariance(gaussians, torch.eye(3) + means.T @ means / 2)
    expected = [_log_distance(point, gaussians.centre, covariance) for point in block]
    assert gaussians.log_distances(block)[:, 2].tolist() == pytest.approx(expected, abs=1e-4)


def test_a_label_without_images_is_nobodys_nearest_other(gaussians: LowRankGaussians) -> None:
    distances, labels = torch.tensor([[2.0, 1.0, 0.0, 3.0]]).repeat(4, 1), torch.arange(4)
    assert gaussians.nearest_other(distances, labels)[:, 0].tolist() == [1.0, 2.0, 1.0, 1.0]


def test_where_one_label_alone_has_images_all_others_count(gaussians: LowRankGaussians) -> None:
    alone = LowRankGaussians(**gaussians.tensors() | {"means": gaussians.means[:1], "rows": torch.tensor([1, 0, 1, 1])})
    distances, labels = torch.tensor([[2.0, 1.0, 0.0, 3.0]]).repeat(2, 1), torch.tensor([1, 2])
    assert alone.nearest_other(distances, labels)[:, 0].tolist() == [0.0, 1.0]


def test_a_distance_does_not_depend_on_how_many_come_with_it_nor_lose_digits_far_from_the_origin(
    gaussians: LowRankGaussians,
) -> None:
    moved = LowRankGaussians(**gaussians.tensors() | {"centre": gaussians.centre + 1000})
    block = _block(gaussians, 64) + 1000
    together = moved.log_distances(block)
    alone = torch.cat([moved.log_distances(one) for one in torch.split(block, 1)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    exact = LowRankGaussians.log_distances(_double(moved), block.double())
    torch.testing.assert_close(together.double(), exact, atol=1e-4, rtol=0)


def _double(fit: LowRankGaussians) -> LowRankGaussians:
    parts = fit.tensors()
    return LowRankGaussians(**{name: part if name == "rows" else part.double() for name, part in parts.items()})


def test_the_distance_of_a_mean_to_itself_is_finite_with_a_finite_slope(gaussians: LowRankGaussians) -> None:
    block = _mean(gaussians, 0)[None].clone().requires_grad_(True)
    distances = gaussians.log_distances(block)
    distances.sum().backward()
    assert distances[0, 1].item() == pytest.approx(math.log(1e-6), abs=0.2)
    assert block.grad is not None
    assert block.grad.isfinite().all()


def test_both_forms_are_gaussians(gaussians: LowRankGaussians) -> None:
    assert isinstance(gaussians, Gaussians)
    assert isinstance(LabelGaussians(means=torch.zeros(2, 3), whitening=torch.eye(3)[None]), Gaussians)
    assert gaussians.to(torch.device("cpu")).tensors().keys() == gaussians.tensors().keys()
