from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.covariance import ledoit_wolf
from torch import Tensor

from detector.calibration.statistics import fit_gaussians
from detector.types import CalibrationError, LabelledImages


def _vectors(toy: Callable[..., Any], n_dimensions: int) -> Any:
    """A classifier whose representation is the image itself, and whose label is told by the first pixel."""
    return toy(
        lambda pixels: torch.stack([1 - 2 * pixels[:, 0, 0, 0], pixels[:, 0, 0, 0] * 2 - 1], 1),
        n_labels=2,
        input_shape=(1, 1, n_dimensions),
    )


def _data(n_images: int, n_dimensions: int, seed: int = 0) -> LabelledImages:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n_images, 1, 1, n_dimensions), generator=generator)
    labels = torch.arange(n_images) % 2
    # The first pixel is dark or bright as its label.
    images[:, 0, 0, 0] = images[:, 0, 0, 0] // 4 + 190 * labels
    return LabelledImages(images=images.to(torch.uint8), labels=labels)


def _values(data: LabelledImages) -> np.ndarray:
    return data.images.flatten(1).double().numpy() / 255


def _precision(whitening: Tensor) -> np.ndarray:
    root = whitening.double().numpy()
    return np.asarray(root.T @ root)


def _shrunk_precision(deviations: np.ndarray, unit: np.ndarray) -> np.ndarray:
    covariance = ledoit_wolf(deviations / unit, assume_centered=True)[0]
    return np.asarray(np.linalg.inv(covariance) / unit / unit[:, None])


def test_means_are_those_of_each_label(toy: Callable[..., Any]) -> None:
    data = _data(40, 3)
    gaussians = fit_gaussians(_vectors(toy, 3), data, chunk=16)["pixels"]
    expected = [_values(data)[data.labels.numpy() == label].mean(0) for label in (0, 1)]
    np.testing.assert_allclose(gaussians.means.numpy(), np.stack(expected), atol=1e-6)


def test_with_enough_images_every_label_has_its_own_covariance(toy: Callable[..., Any]) -> None:
    data = _data(40, 3)
    gaussians = fit_gaussians(_vectors(toy, 3), data, chunk=16)["pixels"]
    assert gaussians.whitening.shape == (2, 3, 3)
    values, labels = _values(data), data.labels.numpy()
    deviations = values - np.stack([values[labels == label].mean(0) for label in (0, 1)])[labels]
    for label in (0, 1):
        expected = _shrunk_precision(deviations[labels == label], deviations.std(0))
        np.testing.assert_allclose(_precision(gaussians.whitening[label]), expected, rtol=1e-4, atol=1e-3)


def test_with_fewer_images_than_dimensions_labels_share_a_covariance_that_stays_finite(
    toy: Callable[..., Any],
) -> None:
    data = _data(30, 20)
    gaussians = fit_gaussians(_vectors(toy, 20), data, chunk=16)["pixels"]
    assert gaussians.whitening.shape == (1, 20, 20)
    values, labels = _values(data), data.labels.numpy()
    deviations = values - np.stack([values[labels == label].mean(0) for label in (0, 1)])[labels]
    expected = _shrunk_precision(deviations, deviations.std(0))
    np.testing.assert_allclose(_precision(gaussians.whitening[0]), expected, rtol=1e-4, atol=1e-2)
    unseen = torch.from_numpy(_values(_data(200, 20, seed=1))).float()
    assert gaussians.log_distances(unseen).isfinite().all()


def test_typical_images_lie_at_a_log_distance_of_about_0(toy: Callable[..., Any]) -> None:
    data = _data(400, 5)
    gaussians = fit_gaussians(_vectors(toy, 5), data, chunk=100)["pixels"]
    distances = gaussians.log_distances(torch.from_numpy(_values(data)).float())
    own, other = distances.gather(1, data.labels[:, None]), distances.gather(1, 1 - data.labels[:, None])
    assert own.exp().mean().item() == pytest.approx(1, abs=0.05)
    assert (other > own).float().mean() > 0.95


@pytest.mark.parametrize("n_images", [2, 3])
def test_hardly_any_image_is_enough_to_stay_finite(toy: Callable[..., Any], n_images: int) -> None:
    gaussians = fit_gaussians(_vectors(toy, 4), _data(n_images, 4), chunk=16)["pixels"]
    unseen = torch.from_numpy(_values(_data(20, 4, seed=1))).float()
    assert gaussians.log_distances(unseen).isfinite().all()


def test_a_channel_that_never_changes_stays_finite(toy: Callable[..., Any]) -> None:
    data = _data(40, 4)
    data.images[..., 2] = 77
    gaussians = fit_gaussians(_vectors(toy, 4), data, chunk=16)["pixels"]
    unseen = torch.from_numpy(_values(_data(20, 4, seed=1))).float()
    assert gaussians.log_distances(unseen).isfinite().all()


def test_a_label_without_images_gets_the_mean_of_all(toy: Callable[..., Any]) -> None:
    data = _data(40, 3)
    only = data[(data.labels == 1).nonzero()[:, 0]]
    gaussians = fit_gaussians(_vectors(toy, 3), only, chunk=16)["pixels"]
    np.testing.assert_allclose(gaussians.means[0].numpy(), _values(only).mean(0), atol=1e-6)
    assert len(gaussians.whitening) == 1


def test_misclassified_images_are_left_out(toy: Callable[..., Any]) -> None:
    data = _data(40, 3)
    mislabelled = LabelledImages(images=data.images, labels=data.labels.clone())
    mislabelled.labels[:10] = 1 - mislabelled.labels[:10]
    found = fit_gaussians(_vectors(toy, 3), mislabelled, chunk=16)["pixels"]
    expected = fit_gaussians(_vectors(toy, 3), data[10:], chunk=16)["pixels"]
    assert torch.equal(found.means, expected.means)
    assert torch.equal(found.whitening, expected.whitening)


def test_logits_are_fitted_beside_the_representations(toy: Callable[..., Any]) -> None:
    assert list(fit_gaussians(_vectors(toy, 3), _data(40, 3), chunk=16)) == ["pixels", "logits"]


@pytest.mark.parametrize("n_right", [0, 1])
def test_a_classifier_that_gets_hardly_anything_right_is_refused(toy: Callable[..., Any], n_right: int) -> None:
    data = _data(10, 3)
    wrong = LabelledImages(images=data.images, labels=1 - data.labels)
    wrong.labels[:n_right] = data.labels[:n_right]
    with pytest.raises(CalibrationError, match=f"gets {n_right} of 10 held-out images right, too few for statistics"):
        fit_gaussians(_vectors(toy, 3), wrong, chunk=16)


def test_no_image_at_all_is_refused(toy: Callable[..., Any]) -> None:
    with pytest.raises(CalibrationError, match="no held-out image is left"):
        fit_gaussians(_vectors(toy, 3), _data(10, 3)[:0], chunk=16)


def test_outputs_that_are_not_finite_are_named(toy: Callable[..., Any]) -> None:
    broken = _vectors(toy, 3)
    broken.representations = {"stage": lambda pixels: pixels.flatten(1) / 0}
    with pytest.raises(CalibrationError, match="the classifier's stage are not finite"):
        fit_gaussians(broken, _data(10, 3), chunk=16)
