"""Changes to natural images that nobody made on purpose, at three severities each.

Kinds and strengths are those of CIFAR-10-C for small images and of ImageNet-C for others (Hendrycks & Dietterich 2019,
arXiv 1903.12261).
"""

import enum
import io
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float32
from numpy import ndarray
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch import Generator

from detector.types import DetectorError, StoredImages

SEVERITIES = (1, 2, 3)

LARGEST_SMALL_SIDE = 64
"""Images whose shorter side is longer than so many pixels are corrupted as ImageNet-C is."""


class Corruption(enum.StrEnum):
    """What happens to an image."""

    JPEG = "jpeg"
    GAUSSIAN_BLUR = "gaussian-blur"
    GAUSSIAN_NOISE = "gaussian-noise"
    BRIGHTNESS = "brightness"
    CONTRAST = "contrast"
    RESIZE = "resize"


def corrupted(images: StoredImages, corruption: Corruption, severity: int, generator: Generator) -> StoredImages:
    """Corrupt every image, one at a time, so that memory does not follow their number.

    Raises:
        DetectorError: the severity is none of `SEVERITIES`.
    """
    if severity not in SEVERITIES:
        raise DetectorError(f"severity {severity} was asked for; give one of {', '.join(map(str, SEVERITIES))}")
    is_small = min(images.shape[2:]) <= LARGEST_SMALL_SIDE
    strength = float((_SMALL if is_small else _LARGE)[corruption][severity - 1])
    change = _CHANGES[corruption]
    found = torch.empty_like(images)
    for index, image in enumerate(images.numpy()):
        changed = change(image.astype(np.float32) / 255, strength, generator)
        found[index] = torch.from_numpy((changed.clip(0, 1) * 255).round().astype(np.uint8))
    return found


_Pixels = Float32[ndarray, "channel height width"]


def _compressed(pixels: _Pixels, quality: float, _generator: Generator) -> _Pixels:
    """Through JPEG of a quality, 1 to 95."""
    return _through_pillow(pixels, lambda picture: _as_jpeg(picture, int(quality)))


def _blurred(pixels: _Pixels, sigma: float, _generator: Generator) -> _Pixels:
    """Gaussian blur; sigma in pixels, borders repeated."""
    blurred: _Pixels = gaussian_filter(pixels, sigma=(0, sigma, sigma), mode="nearest", truncate=4)
    return blurred


def _noisy(pixels: _Pixels, deviation: float, generator: Generator) -> _Pixels:
    """Independent normal noise, in pixel units of [0, 1]."""
    noise: _Pixels = torch.randn(pixels.shape, generator=generator).numpy()
    return pixels + np.float32(deviation) * noise


def _brightened(pixels: _Pixels, amount: float, _generator: Generator) -> _Pixels:
    """The value of hue, saturation and value raised; black, which has no hue, turns grey."""
    value = pixels.max(0, keepdims=True)
    raised = (value + amount).clip(0, 1)
    scaled: _Pixels = np.where(value > 0, pixels * (raised / np.where(value > 0, value, 1)), raised)
    return scaled


def _flattened(pixels: _Pixels, share: float, _generator: Generator) -> _Pixels:
    """Contrast lowered: deviations from the mean of each channel shrink to a share of themselves."""
    mean: _Pixels = pixels.mean((1, 2), keepdims=True)
    lowered: _Pixels = (pixels - mean) * np.float32(share) + mean
    return lowered


def _resized(pixels: _Pixels, factor: float, _generator: Generator) -> _Pixels:
    """Shrunk by a factor and enlarged again, averaging over boxes."""
    height, width = pixels.shape[1:]
    small = (max(1, int(width * factor)), max(1, int(height * factor)))

    def there_and_back(picture: Image.Image) -> Image.Image:
        return picture.resize(small, Image.Resampling.BOX).resize((width, height), Image.Resampling.BOX)

    return _through_pillow(pixels, there_and_back)


def _through_pillow(pixels: _Pixels, change: Callable[[Image.Image], Image.Image]) -> _Pixels:
    """Three channels as one colour picture, any other number as so many grey ones."""
    stored = (pixels * 255).round().astype(np.uint8)
    if len(stored) == 3:
        changed = np.asarray(change(Image.fromarray(stored.transpose(1, 2, 0)))).transpose(2, 0, 1)
    else:
        changed = np.stack([np.asarray(change(Image.fromarray(channel))) for channel in stored])
    return changed.astype(np.float32) / 255


def _as_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    opened = Image.open(file)
    opened.load()
    return opened


_CHANGES: Mapping[Corruption, Callable[[_Pixels, float, Generator], _Pixels]] = {
    Corruption.JPEG: _compressed,
    Corruption.GAUSSIAN_BLUR: _blurred,
    Corruption.GAUSSIAN_NOISE: _noisy,
    Corruption.BRIGHTNESS: _brightened,
    Corruption.CONTRAST: _flattened,
    Corruption.RESIZE: _resized,
}

_SMALL: Mapping[Corruption, Sequence[float]] = {
    Corruption.JPEG: (80, 65, 58),
    Corruption.GAUSSIAN_BLUR: (0.4, 0.6, 0.7),
    Corruption.GAUSSIAN_NOISE: (0.04, 0.06, 0.08),
    Corruption.BRIGHTNESS: (0.05, 0.1, 0.15),
    Corruption.CONTRAST: (0.75, 0.5, 0.4),
    Corruption.RESIZE: (0.95, 0.9, 0.85),
}

_LARGE: Mapping[Corruption, Sequence[float]] = {
    Corruption.JPEG: (25, 18, 15),
    Corruption.GAUSSIAN_BLUR: (1, 2, 3),
    Corruption.GAUSSIAN_NOISE: (0.08, 0.12, 0.18),
    Corruption.BRIGHTNESS: (0.1, 0.2, 0.3),
    Corruption.CONTRAST: (0.4, 0.3, 0.2),
    Corruption.RESIZE: (0.6, 0.5, 0.4),
}
