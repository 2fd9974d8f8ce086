import numpy as np
import pytest
import torch

from detector.evaluation.corruptions import SEVERITIES, Corruption, corrupted
from detector.types import DetectorError, StoredImages


def _random() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _scene(side: int, channels: int = 3) -> StoredImages:
    """Smooth shades with an edge and some grain, all away from black and white."""
    ramp = torch.linspace(60, 140, side)
    image = (ramp[:, None] + ramp[None, :].flip(1)) / 2 + 30 * (ramp[None, :] > 100)
    grain = torch.randint(-15, 16, (2, channels, side, side), generator=_random())
    return (image + grain).round().to(torch.uint8)


def _distance(first: StoredImages, second: StoredImages) -> float:
    return float((first.double() - second.double()).square().mean().sqrt())


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("corruption", Corruption)
def test_a_corruption_keeps_shape_and_bytes_and_leaves_its_input_alone(corruption: Corruption, channels: int) -> None:
    images = _scene(16, channels)[:, :, :12]
    before = images.clone()
    found = corrupted(images, corruption, 1, _random())
    assert (found.shape, found.dtype) == (images.shape, torch.uint8)
    assert torch.equal(images, before)
    assert not torch.equal(found, images)


@pytest.mark.parametrize("side", [32, 80])
@pytest.mark.parametrize("corruption", Corruption)
def test_a_higher_severity_changes_more(corruption: Corruption, side: int) -> None:
    images = _scene(side)
    first, second, third = (_distance(corrupted(images, corruption, s, _random()), images) for s in SEVERITIES)
    assert 0 < first < second < third


@pytest.mark.parametrize("corruption", [Corruption.GAUSSIAN_BLUR, Corruption.CONTRAST, Corruption.RESIZE])
def test_an_image_of_one_colour_stays_as_it_is(corruption: Corruption) -> None:
    image = torch.tensor([10, 120, 250], dtype=torch.uint8)[None, :, None, None].expand(1, 3, 8, 8).contiguous()
    assert torch.equal(corrupted(image, corruption, 3, _random()), image)


def test_white_cannot_be_brighter_and_black_turns_grey() -> None:
    white = torch.full((1, 3, 4, 4), 255, dtype=torch.uint8)
    assert torch.equal(corrupted(white, Corruption.BRIGHTNESS, 3, _random()), white)
    # A tenth of 255 is 25.5.
    brightened = corrupted(torch.zeros_like(white), Corruption.BRIGHTNESS, 2, _random())
    assert set(brightened.flatten().tolist()) <= {25, 26}


def test_brightness_keeps_the_hue_of_a_colour() -> None:
    pixel = torch.tensor([102, 51, 0], dtype=torch.uint8)[None, :, None, None]
    # The value .4 rises to .5, and the other channels in proportion.
    assert corrupted(pixel, Corruption.BRIGHTNESS, 2, _random()).flatten().tolist() in ([127, 64, 0], [128, 64, 0])


def test_contrast_is_a_share_of_the_deviation_from_the_mean() -> None:
    image = torch.tensor([[60, 140]], dtype=torch.uint8)[None, None]
    assert corrupted(image, Corruption.CONTRAST, 2, _random()).flatten().tolist() == [80, 120]


def test_noise_has_the_deviation_it_is_to_have_and_follows_its_seed() -> None:
    grey = torch.full((1, 3, 64, 64), 128, dtype=torch.uint8)
    noisy = corrupted(grey, Corruption.GAUSSIAN_NOISE, 2, _random())
    # 12288 draws leave the deviation uncertain by less than one part in a hundred.
    assert np.std(noisy.numpy()) == pytest.approx(0.06 * 255, rel=0.03)
    assert torch.equal(noisy, corrupted(grey, Corruption.GAUSSIAN_NOISE, 2, _random()))
    other = torch.Generator().manual_seed(1)
    assert not torch.equal(noisy, corrupted(grey, Corruption.GAUSSIAN_NOISE, 2, other))


@pytest.mark.parametrize("value", [0, 255])
def test_noise_at_the_ends_does_not_wrap_around(value: int) -> None:
    found = corrupted(torch.full((1, 1, 16, 16), value, dtype=torch.uint8), Corruption.GAUSSIAN_NOISE, 3, _random())
    assert (found.int() - value).abs().max() < 128


def test_nothing_is_drawn_from_the_global_generators(untouched_randomness: None) -> None:
    corrupted(_scene(8), Corruption.GAUSSIAN_NOISE, 1, _random())


def test_larger_images_are_corrupted_more() -> None:
    grey = [torch.full((1, 1, side, side), 128, dtype=torch.uint8) for side in (64, 65)]
    small, large = (np.std(corrupted(g, Corruption.GAUSSIAN_NOISE, 1, _random()).numpy()) for g in grey)
    assert large > 1.8 * small


def test_an_unknown_severity_is_refused() -> None:
    with pytest.raises(DetectorError, match="severity 4 was asked for; give one of 1, 2, 3"):
        corrupted(_scene(8), Corruption.JPEG, 4, _random())
