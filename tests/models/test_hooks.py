import pytest
import torch
from torch import Tensor, nn

from models.classifier import Classifier
from models.errors import ModelError


class Windows(nn.Module):
    """Maps with their channels last between two convolutions, as transformers with windows have them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 6, 1)
        self.inner = nn.Linear(6, 6)
        self.pooled = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(6, 3)

    def forward(self, images: Tensor) -> Tensor:
        inner = self.inner(self.first(images).permute(0, 2, 3, 1))
        return self.head(self.pooled(inner.permute(0, 3, 1, 2)).flatten(1))


@pytest.fixture
def classifier() -> Classifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Windows()
    return Classifier(
        network,
        mean=[0.0],
        std=[1.0],
        representations=["first", "inner", "pooled"],
        labels="abc",
        input_shape=(1, 4, 2),
    )


def test_maps_come_with_their_channels_first_or_as_tokens_and_single_pixels_as_features(classifier: Classifier) -> None:
    outputs = classifier(torch.rand(5, 1, 4, 2))
    shapes = {name: tuple(value.shape) for name, value in outputs.representations.items()}
    assert shapes == {"first": (5, 6, 4, 2), "inner": (5, 8, 6), "pooled": (5, 6)}
    expected = classifier.network.inner(outputs.representations["first"].permute(0, 2, 3, 1))
    torch.testing.assert_close(outputs.representations["inner"], expected.flatten(1, 2))


def test_a_network_is_resumed_from_tokens(classifier: Classifier) -> None:
    pixels = torch.rand(5, 1, 4, 2)
    outputs = classifier(pixels)
    tokens = outputs.representations["inner"]
    torch.testing.assert_close(classifier.resume("inner", tokens, pixels), outputs.logits)
    with pytest.raises(ModelError, match=r"gives activations of shape \(5, 4, 2, 6\)"):
        classifier.resume("inner", tokens[:, 1:], pixels)
