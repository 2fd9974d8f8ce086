"""Smoothed versions of an image: ends of the shortest paths that lead back towards what it was before an attack.

What an attack adds is mostly small and rough, so smoothing takes much of it away, and the classifier's answer swings
where a natural image's stays. The filters are those of feature squeezing (Xu et al. 2018, arXiv 1704.01155) and its
kin; here they are waypoints like any other, and calibrated with the rest.
"""

import enum

import torch
from torch.nn import functional

from detector.types import Images

BLUR_DEVIATION = 1.2
"""Standard deviation of the Gaussian, in pixels."""


class Smoothing(enum.StrEnum):
    """MEDIAN: of 3×3 pixels. GAUSSIAN: blur with a standard deviation of 1.2 pixels."""

    MEDIAN = "median"
    GAUSSIAN = "gaussian"


def smoothed(images: Images, smoothing: Smoothing) -> Images:
    """Each channel filtered apart, border pixels repeated; differentiable almost everywhere."""
    match smoothing:
        case Smoothing.MEDIAN:
            return _median(images)
        case Smoothing.GAUSSIAN:
            return _blurred(images)


def _median(images: Images) -> Images:
    height, width = images.shape[2:]
    padded = functional.pad(images, (1, 1, 1, 1), mode="replicate")
    pixels = [padded[:, :, row : row + height, column : column + width] for row in range(3) for column in range(3)]
    for low, high in _MEDIAN_OF_NINE:
        pair = pixels[low], pixels[high]
        pixels[low], pixels[high] = torch.minimum(*pair), torch.maximum(*pair)
    return pixels[4]


_LOWER = (1, 4, 7, 0, 3, 6, 1, 4, 7, 0, 5, 4, 3, 1, 2, 4, 4, 6, 4)
_HIGHER = (2, 5, 8, 1, 4, 7, 2, 5, 8, 3, 8, 7, 6, 4, 5, 7, 2, 4, 2)
_MEDIAN_OF_NINE = tuple(zip(_LOWER, _HIGHER, strict=True))
"""Pairs to put in order, one after the other, so that the fifth of nine values is their median (Paeth 1990).

Ten times as fast as sorting on a CPU, and made of operations that every runtime has.
"""


def _blurred(images: Images) -> Images:
    offsets = torch.arange(-2.0, 3.0, device=images.device)
    weights = (-(offsets**2) / (2 * BLUR_DEVIATION**2)).exp()
    weights = weights / weights.sum()
    kernel = (weights[:, None] * weights[None]).expand(images.shape[1], 1, 5, 5)
    padded = functional.pad(images, (2, 2, 2, 2), mode="replicate")
    return functional.conv2d(padded, kernel, groups=images.shape[1])
