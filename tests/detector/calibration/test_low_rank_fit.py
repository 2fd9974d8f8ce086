import numpy as np
import pytest
import torch
from sklearn.covariance import ledoit_wolf
from torch import Generator, Tensor

from detector.calibration.low_rank_fit import BETWEEN_RANK, WITHIN_RANK, fit_low_rank
from detector.low_rank import LowRankGaussians

DIMENSION = 300


def _drawn(n_labels: int, n_each: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Images of so many labels whose means lie five apart, and which vary tenfold in ten directions."""
    random = Generator().manual_seed(0)
    means = 5 * torch.randn(n_labels, DIMENSION, generator=random) / DIMENSION**0.5
    wide = torch.linalg.qr(torch.randn(DIMENSION, 10, generator=random))[0]
    own = Generator().manual_seed(seed)
    labels = torch.arange(n_labels).repeat(n_each)
    noise = torch.randn(len(labels), DIMENSION, generator=own)
    return means[labels] + noise + 9 * noise @ wide @ wide.T + 3, labels


def _own(fit: LowRankGaussians, block: Tensor, labels: Tensor) -> Tensor:
    return fit.log_distances(block).gather(1, labels[:, None])[:, 0]


def test_typical_images_lie_at_a_log_distance_of_about_0_with_few_images_a_label() -> None:
    block, labels = _drawn(20, 8)
    fit = fit_low_rank(block, labels, 20)
    unseen, own = _drawn(20, 8, seed=1)
    assert _own(fit, unseen, own).exp().mean().item() == pytest.approx(1, abs=0.1)
    nearest = fit.nearest_other(fit.log_distances(unseen), own)[:, 0]
    assert (_own(fit, unseen, own) < nearest).float().mean() > 0.75


def test_the_covariance_is_that_of_ledoit_and_wolf_with_what_is_noise_averaged() -> None:
    block, labels = _drawn(2, 400)
    fit = fit_low_rank(block, labels, 2)
    values = block.double().numpy()
    deviations = np.concatenate([(part := values[labels == label]) - part.mean(0) for label in (0, 1)])
    deviations *= np.sqrt(400 / 399)
    unit = np.sqrt(np.square(deviations).mean(0))
    expected = np.linalg.eigvalsh(ledoit_wolf(deviations / unit, assume_centered=True)[0])[::-1]
    rank = len(fit.scale) - 1
    assert 10 <= rank < 30
    np.testing.assert_allclose(fit.scale[:10].double().numpy() ** -2, expected[:10], rtol=0.01)
    assert fit.outside.item() ** -2 == pytest.approx(expected[rank:].mean(), rel=0.05)
    np.testing.assert_allclose(fit.unit.numpy(), unit, rtol=1e-4)
    torch.testing.assert_close(fit.basis.T @ fit.basis, torch.eye(fit.basis.shape[1]), atol=1e-4, rtol=0)


def test_means_of_few_labels_are_kept_exactly() -> None:
    block, labels = _drawn(9, 5)
    fit = fit_low_rank(block, labels, 9)
    means = fit.centre + fit.unit * (fit.means / fit.scale @ fit.basis.T)
    torch.testing.assert_close(means, torch.stack([block[labels == label].mean(0) for label in range(9)]))


def test_nothing_is_as_large_as_labels_by_labels_or_dimensions_by_dimensions() -> None:
    block, labels = _drawn(400, 2)
    parts = fit_low_rank(block, labels, 400).tensors()
    assert BETWEEN_RANK < parts["basis"].shape[1] <= WITHIN_RANK + BETWEEN_RANK
    assert parts["means"].shape == (400, parts["basis"].shape[1])
    assert max(part.numel() for part in parts.values()) < 400 * 200


def test_labels_of_which_there_is_one_image_or_none_have_no_mean_of_their_own() -> None:
    block, labels = _drawn(4, 6)
    labels = torch.where(torch.arange(24) == 3, 7, torch.where(labels == 3, 0, labels))
    fit = fit_low_rank(block, labels, 8)
    assert len(fit.means) == 3
    assert fit.rows.tolist() == [0, 1, 2, 3, 3, 3, 3, 3]


def test_images_of_a_label_that_was_not_seen_are_typical_of_a_label_without_images() -> None:
    block, labels = _drawn(40, 8)
    is_seen = labels < 39
    fit = fit_low_rank(block[is_seen], labels[is_seen], 40)
    unseen, own = _drawn(40, 40, seed=1)
    found = fit.log_distances(unseen[own == 39])
    assert found[:, 39].exp().mean().item() == pytest.approx(1, abs=0.4)
    assert (found[:, 39] < found[:, :39].amin(1)).float().mean() > 0.9


@pytest.mark.parametrize(("n_labels", "n_each"), [(1, 2), (3, 1), (2, 2)])
def test_hardly_any_image_is_enough_to_stay_finite(n_labels: int, n_each: int) -> None:
    block, labels = _drawn(n_labels, n_each)
    fit = fit_low_rank(block, labels, 5)
    distances = fit.log_distances(_drawn(5, 4, seed=1)[0])
    assert distances.isfinite().all()
    assert fit.nearest_other(distances, torch.zeros(20, dtype=torch.int64)).isfinite().all()


def test_dimensions_that_never_change_stay_finite() -> None:
    block, labels = _drawn(3, 6)
    block[:, 5:50] = 2.0
    fit = fit_low_rank(block, labels, 3)
    assert fit.log_distances(_drawn(3, 4, seed=1)[0]).isfinite().all()


def test_the_fit_draws_no_global_random_numbers(untouched_randomness: None) -> None:
    fit_low_rank(*_drawn(3, 6), 3)
