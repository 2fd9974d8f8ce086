from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from detector.bundle import Bundle
from detector.detector import Detector
from detector.evaluation.baselines import BaselineSettings, fit_baselines
from detector.evaluation.recovered_splits import recover_splits
from detector.prototypes.prototype_set import PrototypeSet
from detector.types import LabelledImages, to_pixels

SETTINGS = BaselineSettings(batches=3)
NAMES = ("max-softmax", "energy", "mahalanobis", "nearest-neighbours", "lid", "feature-squeezing", "barrier")


def test_all_baselines_are_fitted_and_calibrated_on_the_bundles_conformal_images(
    bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages], untouched_randomness: None
) -> None:
    detector, splits = Detector(corners, bundle), recover_splits(bundle, corner_images(240, seed=2))
    fitted = fit_baselines(detector, splits, seed=0, settings=SETTINGS)
    assert tuple(baseline.name for baseline in fitted) == NAMES
    conformal = splits.conformal[corners(splits.conformal.images / 255).logits.argmax(1) == splits.conformal.labels]
    images = to_pixels(corner_images(20, seed=50).images)
    again = fit_baselines(detector, splits, seed=0, settings=SETTINGS)
    for first, second in zip(fitted, again, strict=True):
        own = np.sort(first.score(to_pixels(conformal.images)))
        assert np.array_equal(own, first.conformal.scores.numpy())
        assert np.array_equal(first.score(images), second.score(images))


def test_a_score_costs_what_the_baseline_says_and_does_not_depend_on_other_images(
    bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    splits = recover_splits(bundle, corner_images(240, seed=2))
    images = to_pixels(corner_images(5, seed=50).images)
    for baseline in fit_baselines(Detector(corners, bundle), splits, seed=0, settings=SETTINGS):
        corners.batches.clear()
        together = baseline.score(images)
        assert sum(corners.batches) == 5 * baseline.forward_equivalents
        alone = np.concatenate([baseline.score(image) for image in torch.split(images, 1)])
        assert np.allclose(together, alone, rtol=1e-4)


def test_without_prototypes_there_is_no_barrier(
    bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    splits = recover_splits(bundle, corner_images(240, seed=2))
    none = PrototypeSet(images=bundle.prototypes.images[:, :0], available=bundle.prototypes.available, kinds=())
    detector = Detector(corners, bundle.replaced(prototypes=none, prototype_profiles=torch.zeros(4, 0)))
    fitted = fit_baselines(detector, splits, seed=0, settings=SETTINGS)
    assert tuple(baseline.name for baseline in fitted) == NAMES[:-1]
