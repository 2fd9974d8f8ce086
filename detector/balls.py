"""The L∞ ball around an image."""

import torch
from torch import Tensor

from detector.types import Images


def within(attacked: Images, images: Images, radius: float | Tensor) -> Images:
    """The nearest point of the L∞ ball around each image that is an image; a radius for all, or one that broadcasts."""
    return torch.maximum(torch.minimum(attacked, images + radius), images - radius).clamp(0, 1)
