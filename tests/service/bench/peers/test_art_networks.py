from typing import Any

import pytest
import torch
from torch import nn

from service.bench.peers.art_networks import Exposed, binary_network


@pytest.mark.parametrize(
    ("shape", "n_pools"), [((3, 32, 32), 2), ((32, 16, 16), 1), ((64, 8, 8), 0), ((3, 224, 224), 2)]
)
def test_maps_are_pooled_until_they_are_small_and_end_in_two_logits(shape: tuple[int, ...], n_pools: int) -> None:
    network = binary_network(shape).eval()
    assert network(torch.rand(2, *shape)).shape == (2, 2)
    assert sum(isinstance(part, nn.MaxPool2d) for part in network) == n_pools


def test_features_and_tokens_take_a_network_of_their_own() -> None:
    for shape in ((12,), (5, 7)):
        assert binary_network(shape).eval()(torch.rand(3, *shape)).shape == (3, 2)


def test_an_exposed_classifier_passes_its_representations_through_its_children(corners: Any) -> None:
    exposed, seen = Exposed(corners), {}
    assert exposed.shapes == {"stage map": (2, 4, 4), "stage means": (4,)}
    for name, child in exposed.named_children():
        child.register_forward_hook(lambda _module, _inputs, output, name=name: seen.update({name: output}))
    images = torch.rand(3, 1, 4, 4)
    assert torch.equal(exposed(images), corners(images).logits)
    assert torch.equal(seen["stage means"], corners(images).representations["means"])


def test_training_what_exposes_a_classifier_leaves_the_classifier_alone() -> None:
    class Network(nn.Module):
        labels, input_shape, device = ("a", "b"), (1, 1, 2), torch.device("cpu")

        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, pixels: Any) -> Any:
            self.logits, self.representations = self.layer(pixels.flatten(1)), {}
            return self

    network = Network().eval()
    exposed = Exposed(network).train()
    assert not network.training
    assert list(exposed.parameters()) == []
    assert exposed.shapes == {"stage logits": (2,)}
