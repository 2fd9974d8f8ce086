"""Networks of ART's binary detectors, whose architecture it leaves to the user, and the guarded one as it sees it.

Of the kind that Metzen et al. 2017 (arXiv 1702.04267) attach to a stage of the guarded network: convolutions, with a
pooling after each of the first two unless maps are small. Narrower than theirs, so that they train in minutes on a
processor.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from detector.types import Classifier, Images, Outputs

WIDTHS = (24, 48, 48)
HIDDEN = 64

SMALLEST_POOLED = 16
"""Height of maps that are pooled once more."""

LARGEST_MAP = 64
"""Height of maps after the first convolution, which strides where they are larger."""


def binary_network(shape: tuple[int, ...]) -> nn.Sequential:
    """Maps images, maps of a stage or features of this shape to two logits: clean, and attacked."""
    if len(shape) < 3:
        n_features = math.prod(shape)
        return nn.Sequential(nn.Flatten(), *_dense(n_features), *_dense(HIDDEN), nn.Linear(HIDDEN, 2))
    channels, height, _ = shape
    layers: list[nn.Module] = []
    for number, width in enumerate(WIDTHS):
        stride = -(-height // LARGEST_MAP) if number == 0 else 1
        layers += [nn.Conv2d(channels, width, 3, stride, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        height = -(-height // stride)
        if number < 2 and height >= SMALLEST_POOLED:
            layers.append(nn.MaxPool2d(2))
            height //= 2
        channels = width
    network = nn.Sequential(*layers, nn.Conv2d(channels, 2, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    # Faster on a processor, by a quarter.
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def _dense(n_inputs: int) -> list[nn.Module]:
    return [nn.Linear(n_inputs, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU()]


class Exposed(nn.Module):
    """A classifier whose representations pass through children, since ART reads children of what it is given.

    It cannot be trained, put into another mode or moved by way of this.
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        # In a tuple, since a module in an attribute becomes a part.
        self._classifier = (classifier,)
        with torch.no_grad():
            blank = torch.zeros(1, *classifier.input_shape, device=classifier.device)
            parts = representations_of(classifier(blank))
        self.shapes = {_as_child(name): tuple(part.shape[1:]) for name, part in parts.items()}
        for child in self.shapes:
            self.add_module(child, nn.Identity())

    def forward(self, pixels: Images) -> Float[Tensor, "image label"]:
        outputs = self._classifier[0](pixels)
        for name, part in representations_of(outputs).items():
            self.get_submodule(_as_child(name))(part)
        return outputs.logits


def representations_of(outputs: Outputs) -> dict[str, Tensor]:
    """All of them; the logits where the classifier gives none."""
    return dict(outputs.representations) or {"logits": outputs.logits}


def _as_child(name: str) -> str:
    """Children have no dots in their names, nor the names of a module's own attributes."""
    return f"stage {name.replace('.', '/')}"
