import pytest
import torch

from detector.smoothing import BLUR_DEVIATION, Smoothing, smoothed


@pytest.mark.parametrize("smoothing", list(Smoothing))
def test_what_is_flat_stays_as_it_is(smoothing: Smoothing) -> None:
    flat = torch.full((2, 3, 5, 4), 0.3)
    assert torch.allclose(smoothed(flat, smoothing), flat)


def test_the_median_removes_a_single_odd_pixel_and_keeps_an_edge() -> None:
    image = torch.zeros(1, 1, 6, 6)
    image[..., 3:] = 1
    odd = image.clone()
    odd[0, 0, 2, 1] = 0.9
    assert torch.equal(smoothed(odd, Smoothing.MEDIAN), image)


def test_the_blur_spreads_a_pixel_as_a_gaussian_does() -> None:
    image = torch.zeros(1, 1, 9, 9)
    image[0, 0, 4, 4] = 1
    found = smoothed(image, Smoothing.GAUSSIAN)[0, 0]
    assert found.sum() == pytest.approx(1, abs=1e-5)
    ratio = torch.exp(torch.tensor(-1 / (2 * BLUR_DEVIATION**2)))
    assert found[4, 5] / found[4, 4] == pytest.approx(float(ratio), abs=1e-5)
    assert torch.allclose(found, found.T)


@pytest.mark.parametrize("smoothing", list(Smoothing))
def test_channels_and_images_do_not_mix_and_tiny_images_will_do(smoothing: Smoothing) -> None:
    images = torch.rand(3, 2, 1, 2, generator=torch.Generator().manual_seed(0))
    together = smoothed(images, smoothing)
    apart = torch.stack(
        [smoothed(image[None, channel, None], smoothing)[0, 0] for image in images for channel in (0, 1)]
    )
    assert torch.allclose(together.flatten(0, 1), apart)


@pytest.mark.parametrize("smoothing", list(Smoothing))
def test_gradients_reach_the_pixels(smoothing: Smoothing) -> None:
    pixels = torch.rand(1, 1, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    smoothed(pixels, smoothing).sum().backward()
    assert pixels.grad is not None and pixels.grad.sum() == pytest.approx(16, abs=1e-4)
