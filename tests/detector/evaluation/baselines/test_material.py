from collections.abc import Callable
from typing import Any

import pytest
import torch

from detector.bundle import Bundle
from detector.evaluation.baselines.material import BaselineSettings, gather_material
from detector.evaluation.recovered_splits import recover_splits
from detector.types import CalibrationError, LabelledImages, no_progress


def test_everything_comes_from_its_own_part_and_is_classified_correctly(
    bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages], untouched_randomness: None
) -> None:
    splits = recover_splits(bundle, corner_images(240, seed=2))
    found = gather_material(corners, bundle.record, splits, BaselineSettings(batches=2), 0, no_progress)
    assert len(found.conformal) == len(bundle.conformal.scores)
    assert len(found.labels) == len(found.statistics["means"]) <= len(splits.statistics)
    assert torch.equal(found.statistics["means"].argmax(1), found.labels)
    # The stream's batches have twenty clean images each, but for those that noise robs of their label; of forty
    # sources some proxies succeed.
    assert 30 < len(found.clean["means"]) <= 40
    assert 0 < len(found.proxies["means"]) <= 40
    again = gather_material(corners, bundle.record, splits, BaselineSettings(batches=2), 0, no_progress)
    assert torch.equal(again.proxies["means"], found.proxies["means"])


def test_a_classifier_that_no_proxy_fools_is_refused(
    bundle: Bundle, toy: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    splits = recover_splits(bundle, corner_images(240, seed=2))
    stubborn = toy(
        lambda pixels: pixels.flatten(1)[:, :1] * 0 + torch.tensor([1.0, 0, 0, 0]), n_labels=4, input_shape=(1, 4, 4)
    )
    with pytest.raises(CalibrationError, match="none of the proxies of 1 batches fooled the classifier"):
        gather_material(stubborn, bundle.record, splits, BaselineSettings(batches=1), 0, no_progress)
