from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from detector.types import LabelledImages


@pytest.fixture(scope="session")
def cifar10_test(shared_data: Path) -> LabelledImages:
    """The first 2,000 CIFAR-10 test images that are to be had exactly."""
    source = shared_data / "cifar10"
    strips = [np.asarray(Image.open(source / f"test-{index:03}.webp").convert("RGB")) for index in range(4)]
    images = np.concatenate([strip.reshape(-1, 32, 32, 3) for strip in strips])
    exact = np.load(source / "test-exact.npy")[: len(images)]
    labels = np.load(source / "test-labels.npy")[: len(images)].astype(np.int64)
    return LabelledImages(
        images=torch.from_numpy(images[exact]).permute(0, 3, 1, 2).contiguous(), labels=torch.from_numpy(labels[exact])
    )
