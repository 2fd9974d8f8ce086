from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.in_place import rectify_in_place
from models.resnet import resnet20

EXAMPLE = torch.zeros(1, 1, 2, 2)


class Net(nn.Module):
    """A convolution and a rectifier, with one thing about them that `kind` names."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 1, 1)
        self.rectifier = nn.ReLU()
        self.kind = kind
        self.last = torch.zeros(1, 1, 2, 2)

    def forward(self, images: Tensor) -> Any:
        hidden = self.convolution(images)
        match self.kind:
            case "read again":
                outputs = self.rectifier(hidden) + hidden
            case "returned as well":
                outputs = (self.rectifier(hidden), hidden)
            case "a view":
                outputs = self.rectifier(hidden.flatten(1)) + hidden.sum()
            case "the images":
                outputs = self.rectifier(images) + hidden
            case "kept for a gradient":
                outputs = self.rectifier(hidden.sigmoid())
            case "copied elsewhere":
                self.last[:] = hidden
                outputs = self.rectifier(hidden)
            case "twice, once read again":
                outputs = self.rectifier(self.convolution(self.rectifier(hidden) + hidden))
            case "fails":
                raise RuntimeError("not today")
            case "a sum, twice":
                outputs = self.rectifier(self.convolution(self.rectifier(hidden + images)))
            case _:
                outputs = self.rectifier(hidden)
        return outputs


@pytest.mark.parametrize("kind", ["plain", "a sum, twice"])
def test_a_rectifier_writes_over_what_it_alone_reads(kind: str) -> None:
    network = Net(kind).eval()
    images = torch.linspace(-1, 1, 4).view(1, 1, 2, 2).requires_grad_(True)
    expected = network(images)
    (slope,) = torch.autograd.grad(expected.sum(), images)
    rectify_in_place(network, EXAMPLE)
    assert network.rectifier.inplace
    assert torch.equal(network(images), expected)
    assert torch.equal(torch.autograd.grad(network(images).sum(), images)[0], slope)


@pytest.mark.parametrize(
    "kind",
    [
        "read again",
        "returned as well",
        "a view",
        "the images",
        "kept for a gradient",
        "copied elsewhere",
        "twice, once read again",
        "fails",
    ],
)
def test_a_rectifier_leaves_alone_what_somebody_else_may_read(kind: str) -> None:
    network = Net(kind).eval()
    rectify_in_place(network, EXAMPLE)
    assert not network.rectifier.inplace


def test_an_output_that_a_hook_takes_is_left_alone() -> None:
    network, taken = Net("plain").eval(), []

    def take(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        taken.append(output)

    network.convolution.register_forward_hook(take)
    rectify_in_place(network, EXAMPLE)
    assert not network.rectifier.inplace
    assert len(network.convolution._forward_hooks) == 1


class Pair(nn.Module):
    """Gives what it is given beside its own output."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 1, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.convolution(images), images


class AfterPair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pair, self.rectifier = Pair(), nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        return self.rectifier(self.pair(images)[0])


@pytest.mark.parametrize("is_hooked", [True, False])
def test_an_output_that_a_hook_takes_among_others_is_left_alone(is_hooked: bool) -> None:
    network = AfterPair().eval()
    if is_hooked:
        network.pair.register_forward_hook(lambda *_: None)
    rectify_in_place(network, EXAMPLE)
    assert network.rectifier.inplace != is_hooked


def test_every_rectifier_of_a_residual_network_works_in_place() -> None:
    network = resnet20().eval()
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network(images)
        rectify_in_place(network, images[:1])
        assert all(module.inplace for module in network.modules() if isinstance(module, nn.ReLU))
        assert torch.equal(network(images), expected)
