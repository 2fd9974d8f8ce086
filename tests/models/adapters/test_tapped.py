import pytest
import torch
from torch import Tensor, nn

from models.adapters.tapped import Tapped
from models.errors import ModelError


class Unswitchable(nn.Module):
    def train(self, mode: bool = True) -> "Unswitchable":
        raise NotImplementedError


class Graph(Tapped):
    def __init__(self) -> None:
        super().__init__(["a/b", "c.d"])
        self.inner = Unswitchable()
        self.switched = nn.Dropout()

    def forward(self, images: Tensor) -> Tensor:
        return self.tapped(images.flatten(1), [images, images + 1])


def test_each_representation_passes_through_its_tap() -> None:
    graph, seen = Graph(), {}
    for name, tap in graph.taps.items():
        tap.register_forward_hook(lambda _tap, _given, output, name=name: seen.update({name: output}))
    assert graph(torch.zeros(1, 1, 1, 2)).tolist() == [[0, 0]]
    assert {name: float(values.sum()) for name, values in seen.items()} == {"a/b": 0, "c.d": 2}


def test_parts_that_cannot_be_switched_are_left_alone() -> None:
    graph = Graph().eval()
    assert not graph.training
    assert not graph.switched.training


def test_as_many_representations_as_taps_are_needed() -> None:
    with pytest.raises(ModelError, match="gives 1 representations, 2 are named"):
        Graph().tapped(torch.zeros(1, 2), [torch.zeros(1)])
