from typing import Any

import pytest
import torch
from torch import Generator

from detector.prototypes.synthesis import (
    FAINT,
    VisualisationSettings,
    feature_visualised,
    from_spectrum,
    grey_images,
    noise_images,
    total_variation,
)
from detector.types import CalibrationError, no_progress

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
    # Adam's momentum carries it on by about ten steps of a fortieth of the pixel range or less: 8 logits.
    assert (margins > 4.5).all()
    assert (margins < 16).all()
    assert (many.topk(2).values.diff().abs() > 30).all()


def test_images_that_are_finished_are_left_as_they_are_while_others_go_on(corners: Any) -> None:
    """Less than twice the margin at which they are finished: no image takes a further step after it."""
    settings = VisualisationSettings(steps=60, learning_rate=0.05, jitter=0, smoothness=0.0, finished=3.0)
    logits = corners(_visualise(corners, settings)).logits
    margins = logits.topk(2).values.diff().abs()
    assert logits.argmax(1).tolist() == [0, 1, 2, 3, 0]
    assert ((margins >= 3.0) & (margins < 6.0)).all()
    corners.batches.clear()
    _visualise(corners, settings)
    assert sum(corners.batches) < 5 * 60 / 2


def test_without_a_margin_to_finish_at_images_take_every_step(corners: Any) -> None:
    _visualise(corners, VisualisationSettings(steps=7))
    assert sum(corners.batches) == 5 * 7


def test_every_step_of_every_image_is_reported(corners: Any) -> None:
    told: list[tuple[int, int]] = []
    labels = torch.tensor([0, 1, 2])
    settings = VisualisationSettings(steps=3, finished=-100.0)
    feature_visualised(
        corners, labels, settings, Generator().manual_seed(0), 2, lambda _, done, total: told.append((done, total))
    )
    assert told == [(2, 9), (4, 9), (6, 9), (7, 9), (8, 9), (9, 9)]


def test_no_step_at_all_is_refused() -> None:
    with pytest.raises(CalibrationError, match="in 0 steps; at least 1"):
        VisualisationSettings(steps=0)


def test_smoothness_levels_neighbours(corners: Any) -> None:
    rough = total_variation(_visualise(corners))
    smooth = total_variation(_visualise(corners, VisualisationSettings(steps=60, jitter=0, smoothness=200.0)))
    assert (smooth < rough).all()


def test_one_seed_visualises_one_image_and_chunks_bound_the_pass(corners: Any) -> None:
    settings = VisualisationSettings(steps=5)
    assert torch.equal(_visualise(corners, settings), _visualise(corners, settings))
    assert not torch.equal(_visualise(corners, settings), _visualise(corners, settings, seed=1))
    assert max(corners.batches) == 2


def test_a_single_frequency_is_a_single_wave() -> None:
    spectrum = torch.zeros(1, 1, 8, 5, 2)
    spectrum[0, 0, 0, 2, 0] = 0.3
    row = from_spectrum(spectrum, (8, 8)).logit()[0, 0]
    # Two periods in eight pixels: wavelength 4. The frequency and its mirror image add, over the root of 64 pixels.
    wave = 2 * 0.3 * 4 / 8 * torch.cos(2 * torch.pi * 2 * torch.arange(8) / 8)
    torch.testing.assert_close(row, wave.expand(8, 8))


def test_the_mean_is_scaled_like_the_longest_wave() -> None:
    spectrum = torch.zeros(1, 1, 4, 5, 2)
    spectrum[0, 0, 0, 0, 0] = 0.3
    expected = torch.full((4, 8), 0.3 * 8 / 32**0.5).sigmoid()
    torch.testing.assert_close(from_spectrum(spectrum, (4, 8))[0, 0], expected)


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 1, 2), (1, 8, 8), (3, 9, 7), (3, 32, 32), (3, 224, 224)])
def test_images_of_every_size_start_as_near_to_grey(channels: int, height: int, width: int) -> None:
    spectrum = FAINT * torch.randn(6, channels, height, width // 2 + 1, 2, generator=Generator().manual_seed(0))
    images = from_spectrum(spectrum, (height, width))
    assert images.shape == (6, channels, height, width)
    assert 0.005 < (images - 0.5).square().mean().sqrt() < 0.15


def test_an_optimiser_that_steps_evenly_moves_coarse_shapes_more_than_fine_grain() -> None:
    """After one step of equal size in every frequency, neighbours differ less than pixels far apart."""
    signs = torch.randn(20, 1, 32, 17, 2, generator=Generator().manual_seed(0)).sign()
    moved = from_spectrum(0.02 * signs, (32, 32))
    assert total_variation(moved).mean() < 0.7 * total_variation(_shuffled(moved)).mean()


def _shuffled(images: torch.Tensor) -> torch.Tensor:
    """The same pixels in random places."""
    order = torch.randperm(images[0].numel(), generator=Generator().manual_seed(0))
    return images.flatten(1)[:, order].view_as(images)


def test_total_variation_is_the_mean_step_down_and_the_mean_step_right() -> None:
    image = torch.tensor([[0.0, 1.0], [0.5, 0.5]]).view(1, 1, 2, 2)
    # Steps of ½ down in both columns; of 1 and 0 to the right.
    assert total_variation(image).item() == pytest.approx(0.5 + 0.5)
    assert total_variation(grey_images(2, (3, 4, 4))).tolist() == [0.0, 0.0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_frequencies_become_the_same_pixels_on_every_device() -> None:
    spectrum = FAINT * torch.randn(2, 3, 32, 17, 2, generator=Generator().manual_seed(0))
    torch.testing.assert_close(from_spectrum(spectrum.cuda(), (32, 32)).cpu(), from_spectrum(spectrum, (32, 32)))


def test_controls_are_grey_and_uniform_noise() -> None:
    assert (grey_images(2, (1, 3, 3)) == 0.5).all()
    noise = noise_images(50, (1, 10, 10), Generator().manual_seed(0))
    assert ((noise >= 0) & (noise < 1)).all()
    assert noise.mean().item() == pytest.approx(0.5, abs=0.02)


def test_synthesis_draws_no_global_random_numbers(corners: Any, untouched_randomness: None) -> None:
    _visualise(corners, VisualisationSettings(steps=2))
    noise_images(2, (1, 3, 3), Generator().manual_seed(0))
