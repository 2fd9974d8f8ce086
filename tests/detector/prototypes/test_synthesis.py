from typing import Any

import pytest
import torch
from torch import Generator

from detector.prototypes.synthesis import (
    VisualisationSettings,
    feature_visualised,
    grey_images,
    noise_images,
    total_variation,
)
from detector.types import no_progress

SETTINGS = VisualisationSettings(steps=60, jitter=0, smoothness=0.0)


def _visualise(classifier: Any, settings: VisualisationSettings = SETTINGS, seed: int = 0) -> torch.Tensor:
    labels = torch.tensor([0, 1, 2, 3, 0])
    return feature_visualised(classifier, labels, settings, Generator().manual_seed(seed), 2, no_progress)


def test_visualised_features_are_taken_for_their_label(corners: Any) -> None:
    images = _visualise(corners)
    assert corners(images).logits.argmax(1).tolist() == [0, 1, 2, 3, 0]
    assert ((images > 0) & (images < 1)).all()


def test_no_more_margin_is_asked_for_than_enough(corners: Any) -> None:
    few, many = (
        corners(_visualise(corners, VisualisationSettings(steps=100, jitter=0, smoothness=0.0, enough=enough))).logits
        for enough in (5.0, 100.0)
    )
    margins = few.topk(2).values.diff().abs()
    # Adam's momentum carries it on by about ten steps of 0.08, a fifth of the pixel range: 8 logits.
    assert (margins > 4.5).all()
    assert (margins < 16).all()
    assert (many.topk(2).values.diff().abs() > 30).all()


def test_smoothness_levels_neighbours(corners: Any) -> None:
    rough = total_variation(_visualise(corners))
    smooth = total_variation(_visualise(corners, VisualisationSettings(steps=60, jitter=0, smoothness=200.0)))
    assert (smooth < rough).all()


def test_one_seed_visualises_one_image_and_chunks_bound_the_pass(corners: Any) -> None:
    settings = VisualisationSettings(steps=5)
    assert torch.equal(_visualise(corners, settings), _visualise(corners, settings))
    assert not torch.equal(_visualise(corners, settings), _visualise(corners, settings, seed=1))
    assert max(corners.batches) == 2


def test_total_variation_is_the_mean_step_down_and_the_mean_step_right() -> None:
    image = torch.tensor([[0.0, 1.0], [0.5, 0.5]]).view(1, 1, 2, 2)
    # Steps of ½ down in both columns; of 1 and 0 to the right.
    assert total_variation(image).item() == pytest.approx(0.5 + 0.5)
    assert total_variation(grey_images(2, (3, 4, 4))).tolist() == [0.0, 0.0]


def test_controls_are_grey_and_uniform_noise() -> None:
    assert (grey_images(2, (1, 3, 3)) == 0.5).all()
    noise = noise_images(50, (1, 10, 10), Generator().manual_seed(0))
    assert ((noise >= 0) & (noise < 1)).all()
    assert noise.mean().item() == pytest.approx(0.5, abs=0.02)


def test_synthesis_draws_no_global_random_numbers(corners: Any, untouched_randomness: None) -> None:
    _visualise(corners, VisualisationSettings(steps=2))
    noise_images(2, (1, 3, 3), Generator().manual_seed(0))
