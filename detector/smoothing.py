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
            padded = functional.pad(images, (1, 1, 1, 1), mode="replicate")
            return padded.unfold(2, 3, 1).unfold(3, 3, 1).flatten(4).median(4).values
        case Smoothing.GAUSSIAN:
            return _blurred(images)


def _blurred(images: Images) -> Images:
    offsets = torch.arange(-2.0, 3.0, device=images.device)
    weights = (-(offsets**2) / (2 * BLUR_DEVIATION**2)).exp()
    weights = weights / weights.sum()
    kernel = (weights[:, None] * weights[None]).expand(images.shape[1], 1, 5, 5)
    padded = functional.pad(images, (2, 2, 2, 2), mode="replicate")
    return functional.conv2d(padded, kernel, groups=images.shape[1])
