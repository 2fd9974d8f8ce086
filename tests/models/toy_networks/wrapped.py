"""Small networks wrapped as classifiers."""

import torch
from torch import Tensor, nn

from models.classifier import Classifier


class Pair(nn.Module):
    """Gives two tensors, as attention does."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return images, images


class Fork(nn.Module):
    """Adds up the channels; `unused` takes no part, `pair` gives no tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Identity()
        self.pair = Pair()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()

    def forward(self, images: Tensor) -> Tensor:
        return self.flatten(self.pool(self.pair(images)[0]))


def fork(**changes: object) -> Classifier:
    arguments = {
        "mean": [0.5, 0.25],
        "std": [0.5, 0.25],
        "representations": ["flatten"],
        "labels": ["a", "b"],
        "input_shape": (2, 1, 3),
    }
    return Classifier(Fork(), **(arguments | changes))


def convolutional(seed: int = 0) -> Classifier:
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2)
    )
    network[1].running_mean.normal_()
    network[1].running_var.uniform_(0.5, 2)
    return Classifier(
        network, mean=[0.1], std=[0.3], representations=["1", "2", "4"], labels=["a", "b"], input_shape=(1, 6, 6)
    )
