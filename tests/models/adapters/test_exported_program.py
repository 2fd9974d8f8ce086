import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from models.adapters.adapted import Adapted
from models.adapters.exported_program import open_exported_program
from models.classifier import Classifier
from models.digits import SmallConvNet
from models.errors import ModelError

CPU = torch.device("cpu")


def opened(path: Path, representations: list[str] | None = None, shape: tuple[int, int, int] = (1, 8, 8)) -> Adapted:
    return open_exported_program(path, representations=representations, input_shape=shape, device=CPU)


def classifier_of(network: nn.Module, representations: tuple[str, ...]) -> Classifier:
    return Classifier(
        network, mean=[0.3], std=[0.4], representations=representations, labels="abcdefghij", input_shape=(1, 8, 8)
    )


class Twice(nn.Module):
    """A block whose one activation runs twice, and whose outputs are taken by name alone."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.dropout = nn.Dropout()
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.relu(self.first(images))
        hidden = self.relu(self.second(self.dropout(hidden)) + hidden)
        return self.head(hidden.mean((2, 3)))


class TwoInputs(nn.Module):
    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return (first + second).flatten(1)


def test_a_module_that_runs_twice_gives_its_last_output(saved_program: Callable[..., Path], tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Twice().eval()
    path = saved_program(network, tmp_path / "twice.pt2", torch.rand(2, 1, 8, 8))
    names = ("relu", "second", "first")
    pixels = torch.rand(3, 1, 8, 8)
    read = Classifier(
        opened(path, list(names)).network,
        mean=[0.0],
        std=[1.0],
        representations=names,
        labels="abc",
        input_shape=(1, 8, 8),
    )(pixels)
    live = Classifier(network, mean=[0.0], std=[1.0], representations=names, labels="abc", input_shape=(1, 8, 8))(
        pixels
    )
    for name in names:
        torch.testing.assert_close(read.representations[name], live.representations[name])


def test_a_value_of_the_graph_may_be_named(digits_program: Path) -> None:
    read = classifier_of(opened(digits_program, ["relu_1"]).network, ("relu_1",))
    by_module = classifier_of(opened(digits_program, ["stages.1"]).network, ("stages.1",))
    pixels = torch.rand(2, 1, 8, 8)
    assert torch.equal(read(pixels).representations["relu_1"], by_module(pixels).representations["stages.1"])


def test_a_name_that_is_not_there_is_told_with_near_ones(digits_program: Path) -> None:
    with pytest.raises(ModelError, match=r"no module 'stages.7' that gave a tensor .*; near it are 'stages.\d'"):
        opened(digits_program, ["stages.7"])


def test_it_can_be_copied_and_switched(digits_program: Path) -> None:
    network = opened(digits_program).network
    pixels = torch.rand(2, 1, 8, 8)
    before = network(pixels)
    assert torch.equal(copy.deepcopy(network)(pixels), before)
    assert torch.equal(network.train()(pixels), before)
    assert not network.eval().training


def test_half_precision_inside_is_float32_outside(saved_program: Callable[..., Path], tmp_path: Path) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 3)).half().eval()
    path = saved_program(network, tmp_path / "half.pt2", torch.rand(2, 1, 8, 8).half())
    adapted = opened(path)
    assert adapted.representations == ("2",)
    pixels = torch.rand(3, 1, 8, 8)
    assert adapted.network(pixels).dtype == torch.float32
    torch.testing.assert_close(adapted.network(pixels), network(pixels.half()).float())


def test_a_fixed_batch_axis_is_refused(
    saved_program: Callable[..., Path], tmp_path: Path, digits_in_torch: SmallConvNet
) -> None:
    path = saved_program(digits_in_torch, tmp_path / "fixed.pt2", torch.rand(2, 1, 8, 8), is_free=False)
    with pytest.raises(ModelError, match=r"takes batches of 2 alone; export it with a free batch axis: .*Dim\("):
        opened(path)


@pytest.mark.parametrize("layer", [nn.Dropout(), nn.BatchNorm2d(1)])
def test_a_program_that_trains_is_refused(saved_program: Callable[..., Path], tmp_path: Path, layer: nn.Module) -> None:
    network = nn.Sequential(layer, nn.Flatten(), nn.Linear(64, 3)).train()
    path = saved_program(network, tmp_path / "training.pt2", torch.rand(3, 1, 8, 8))
    with pytest.raises(ModelError, match=r"is in training mode \(\w+ trains\); export .* after network.eval\(\)"):
        opened(path)


def test_images_of_another_shape_are_refused(digits_program: Path) -> None:
    with pytest.raises(ModelError, match=r"takes images of shape \(1, 8, 8\) .* the spec says \(1, 8, 9\)"):
        opened(digits_program, shape=(1, 8, 9))


def test_a_program_of_two_inputs_is_refused(saved_program: Callable[..., Path], tmp_path: Path) -> None:
    images = torch.rand(2, 1, 2, 2)
    path = saved_program(TwoInputs(), tmp_path / "two.pt2", images, images)
    with pytest.raises(ModelError, match="has 2 inputs and 1 outputs; a classifier has one of each"):
        opened(path, shape=(1, 2, 2))


def test_a_program_that_does_not_classify_is_refused(saved_program: Callable[..., Path], tmp_path: Path) -> None:
    path = saved_program(nn.Conv2d(1, 3, 1).eval(), tmp_path / "maps.pt2", torch.rand(2, 1, 8, 8))
    with pytest.raises(ModelError, match="gives no tensor of logits"):
        opened(path, ["conv2d"])
