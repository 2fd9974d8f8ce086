"""A classifier and a detector that are both linear in the pixels, so that every step is known on paper."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from detector.detector import JointOutputs


@dataclasses.dataclass(kw_only=True)
class LinearJoint:
    """On images of 2×2 pixels: logits (0, weights·x − bias), score slope·x + drawn × noise·x; counts its calls."""

    classifier: Any
    weights: tuple[float, ...]
    bias: float
    slope: tuple[float, ...]
    noise: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)
    threshold: float = 0.0
    guides: Mapping[int, Tensor] = dataclasses.field(default_factory=dict)
    asked: list[int] = dataclasses.field(default_factory=list)
    drawn: list[float] = dataclasses.field(default_factory=list)

    def joint(self, images: Tensor, _labels: Tensor, generator: Generator) -> JointOutputs:
        self.asked.append(len(images))
        scores = images.flatten(1) @ images.new_tensor(self.slope)
        if any(self.noise):
            self.drawn.append(float(torch.rand(1, generator=generator)))
            scores = scores + self.drawn[-1] * (images.flatten(1) @ images.new_tensor(self.noise))
        return JointOutputs(logits=self.logits(images), scores=scores)

    def logits(self, images: Tensor) -> Tensor:
        second = images.flatten(1) @ images.new_tensor(self.weights) - self.bias
        return torch.stack([torch.zeros_like(second), second], 1)


@pytest.fixture
def linear_joint(toy: Any) -> Callable[..., LinearJoint]:
    """By default the target, label 1, needs the first pixel above ½, and the score is the second pixel."""

    def make(**changes: Any) -> LinearJoint:
        settings = {"weights": (10.0, 0.0, 0.0, 0.0), "bias": 5.0, "slope": (0.0, 1.0, 0.0, 0.0), **changes}
        made = LinearJoint(classifier=None, **settings)
        made.classifier = toy(made.logits, n_labels=2, input_shape=(1, 2, 2))
        return made

    return make


@pytest.fixture
def run_attack() -> Callable[..., Tensor]:
    """Attacks images of the label 0 towards the label 1."""

    def run(attack: Any, joint: Any, images: Tensor, seed: int = 0) -> Tensor:
        labels = torch.zeros(len(images), dtype=torch.int64)
        made: Tensor = attack(joint, images, labels, labels + 1, Generator().manual_seed(seed))
        return made

    return run


@pytest.fixture
def images() -> Tensor:
    """Four images whose first pixel is .42, .45, .48 and .40, all others .5."""
    made = torch.full((4, 1, 2, 2), 0.5)
    made[:, 0, 0, 0] = torch.tensor([0.42, 0.45, 0.48, 0.40])
    return made
