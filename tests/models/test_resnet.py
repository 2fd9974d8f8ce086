import pytest
import torch
from torch import nn

from models.resnet import resnet18, resnet20


def parameter_count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_resnet20_has_the_parameters_of_the_paper_and_its_two_projections() -> None:
    stem = 27 * 16 + 32
    first = 3 * (2 * 9 * 16 * 16 + 4 * 16)
    second = 9 * 16 * 32 + 5 * 9 * 32 * 32 + 6 * 2 * 32
    third = 9 * 32 * 64 + 5 * 9 * 64 * 64 + 6 * 2 * 64
    head = 64 * 10 + 10
    projections = 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64
    assert stem + first + second + third + head == 269_722
    assert parameter_count(resnet20()) == 269_722 + projections == 272_474


def test_resnet18_has_eleven_million_parameters() -> None:
    assert parameter_count(resnet18()) == 11_173_962


@pytest.mark.parametrize(
    ("network", "shapes"),
    [
        (resnet20(), [(16, 32, 32), (32, 16, 16), (64, 8, 8)]),
        (resnet18(), [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]),
    ],
    ids=["resnet20", "resnet18"],
)
def test_every_stage_but_the_first_halves_the_resolution(
    network: nn.Module, shapes: list[tuple[int, int, int]]
) -> None:
    seen: list[tuple[int, ...]] = []
    for stage in network.stages:
        stage.register_forward_hook(lambda _module, _inputs, output: seen.append(tuple(output.shape[1:])))
    with torch.no_grad():
        logits = network.eval()(torch.zeros(2, 3, 32, 32))
    assert seen == shapes
    assert logits.shape == (2, 10)


def test_the_number_of_labels_is_the_callers() -> None:
    assert resnet20(n_labels=7).head.out_features == 7
