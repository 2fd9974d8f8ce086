"""Handwritten digits: scikit-learn's 1,797 scans of 8×8 pixels, and a small network for them."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from models.training import LabelledImages

N_TRAINING_IMAGES = 900
DARKEST = 16
"""What the scans call full ink."""


class SmallConvNet(nn.Module):
    """Stages of one 3×3 convolution each, all but the first halving the resolution, then a linear head.

    Takes normalised images of shape (image, 1, height, width), returns logits of shape (image, label).
    """

    def __init__(self, widths: Sequence[int], n_labels: int) -> None:
        super().__init__()
        stages = []
        in_channels = 1
        for index, width in enumerate(widths):
            convolution = nn.Conv2d(in_channels, width, 3, stride=1 if index == 0 else 2, padding=1, bias=False)
            stages.append(nn.Sequential(convolution, nn.BatchNorm2d(width), nn.ReLU()))
            in_channels = width
        self.stages = nn.ModuleList(stages)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.head = nn.Linear(in_channels, n_labels)

    def forward(self, images: Tensor) -> Tensor:
        hidden = images
        for stage in self.stages:
            hidden = stage(hidden)
        logits: Tensor = self.head(self.flatten(self.pool(hidden)))
        return logits


def digits_network(n_labels: int = 10) -> SmallConvNet:
    """Three stages of widths 32, 64, 64 at 8×8, 4×4 and 2×2 pixels."""
    return SmallConvNet(widths=(32, 64, 64), n_labels=n_labels)


def load_digits_images() -> tuple[LabelledImages, LabelledImages]:
    """The scans of shape (image, 1, 8, 8): 900 training and 897 held-out images, always the same."""
    # scikit-learn takes a second to import, which the classifier itself does without.
    from sklearn.datasets import load_digits  # noqa: PLC0415

    scans = load_digits()
    # RandomState's streams are frozen across versions of numpy, a Generator's are not.
    order = np.random.RandomState(0).permutation(len(scans.images))
    pixels = np.round(scans.images[order, None] * (255 / DARKEST)).astype(np.uint8)
    labels = scans.target[order].astype(np.int64)
    training, held_out = slice(None, N_TRAINING_IMAGES), slice(N_TRAINING_IMAGES, None)
    return _labelled(pixels[training], labels[training]), _labelled(pixels[held_out], labels[held_out])


def _labelled(pixels: np.ndarray, labels: np.ndarray) -> LabelledImages:
    return LabelledImages(images=torch.from_numpy(pixels), labels=torch.from_numpy(labels))
