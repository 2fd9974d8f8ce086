"""What holds of a saved network in either of torch's formats."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from models.adapters.adapted import Adapted, NetworkKind
from models.adapters.exported_program import open_exported_program
from models.adapters.torchscript import open_torchscript
from models.classifier import Classifier
from models.digits import SmallConvNet
from models.files import file_digest
from models.representations import default_representations

Saved = tuple[Path, NetworkKind, Callable[..., Adapted]]


@pytest.fixture(params=[NetworkKind.EXPORTED_PROGRAM, NetworkKind.TORCHSCRIPT])
def saved(request: pytest.FixtureRequest) -> Saved:
    """The digits network in a file, what it is, and what opens it."""
    if request.param is NetworkKind.EXPORTED_PROGRAM:
        return request.getfixturevalue("digits_program"), request.param, open_exported_program
    return request.getfixturevalue("digits_script"), request.param, open_torchscript


def opened(saved: Saved, representations: list[str] | None = None) -> Adapted:
    path, _, opener = saved
    return opener(path, representations=representations, input_shape=(1, 8, 8), device=torch.device("cpu"))


def classifier_of(network: nn.Module, names: tuple[str, ...]) -> Classifier:
    return Classifier(network, mean=[0.3], std=[0.4], representations=names, labels="abcdefghij", input_shape=(1, 8, 8))


def test_it_gives_what_the_network_gave(saved: Saved, digits_in_torch: SmallConvNet) -> None:
    path, kind, _ = saved
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        adapted = opened(saved)
    assert adapted.kind is kind
    assert adapted.is_differentiable
    assert adapted.file_digest == file_digest(path)
    names = default_representations(digits_in_torch, torch.zeros(1, 1, 8, 8))
    assert adapted.representations == names
    pixels = torch.rand(5, 1, 8, 8)
    read, live = (classifier_of(network, names)(pixels) for network in (adapted.network, digits_in_torch))
    torch.testing.assert_close(read.logits, live.logits)
    for name in names:
        torch.testing.assert_close(read.representations[name], live.representations[name])


def test_gradients_of_logits_and_representations_reach_the_pixels(saved: Saved, digits_in_torch: SmallConvNet) -> None:
    gradients = []
    for network in (opened(saved, ["stages.1"]).network, digits_in_torch):
        pixels = torch.linspace(0, 1, 192).view(3, 1, 8, 8).requires_grad_(True)
        outputs = classifier_of(network, ("stages.1",))(pixels)
        loss = outputs.logits.logsumexp(1).sum() + outputs.representations["stages.1"].square().sum()
        gradients += torch.autograd.grad(loss, pixels)
    assert gradients[0].abs().max() > 0
    torch.testing.assert_close(*gradients)
