import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from models.adapters.adapted import Adapted, NetworkKind
from models.adapters.factory import build_network, open_architecture
from models.errors import ModelError

FILE = """
import dataclasses

from torch import nn


@dataclasses.dataclass
class Settings:
    width: "int" = 2


def wide(width=2):
    return nn.Linear(Settings(width).width, 1)


def nothing():
    return None


def classifying(labels=2):
    return nn.Sequential(nn.Conv2d(1, 3, 1), nn.ReLU(), nn.Flatten(), nn.Linear(12, labels))


class Deciding(nn.Sequential):
    def forward(self, images):
        return nn.functional.one_hot(super().forward(images).argmax(1), 2).float()


def deciding():
    return Deciding(*classifying())


number = 3
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "network.py").write_text(FILE)
    (tmp_path / "broken.py").write_text("import no_such_module")
    return tmp_path


def test_a_factory_in_a_file_is_called_with_its_arguments(folder: Path) -> None:
    path_before = list(sys.path)
    network = build_network("inner/network.py:wide", {"width": 7}, folder)
    assert isinstance(network, nn.Linear)
    assert network.in_features == 7
    assert sys.path == path_before


def test_a_factory_in_an_installed_module_is_called() -> None:
    network = build_network("torch.nn:Linear", {"in_features": 2, "out_features": 3}, Path())
    assert isinstance(network, nn.Linear)


def test_a_torchvision_network_is_built_untrained() -> None:
    network = build_network("torchvision:squeezenet1_0", {"num_classes": 4}, Path())
    assert network.num_classes == 4


@pytest.mark.parametrize(
    ("architecture", "arguments", "message"),
    [
        ("absent.py:f", {}, "there is no file .*absent.py"),
        ("broken.py:f", {}, "broken.py cannot be imported .ModuleNotFoundError: No module named 'no_such_module'"),
        ("inner/network.py:deep", {}, "inner/network.py has no function 'deep'"),
        ("inner/network.py:number", {}, "has no function 'number'"),
        ("inner/network.py:nothing", {}, "gives a NoneType, not a torch.nn.Module"),
        ("inner/network.py:wide", {"depth": 1}, "fails with arguments .*unexpected keyword argument 'depth'"),
        ("no_such_package.models:f", {}, "the module 'no_such_package.models' cannot be imported"),
        ("torchvision:resnet19", {}, "torchvision has no classifier 'resnet19'; near it are .*resnet18"),
        ("torchvision:resnet18", {"weights": "DEFAULT"}, "'weights' would fetch weights"),
    ],
)
def test_what_cannot_be_built_is_one_clear_line(
    folder: Path, architecture: str, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        build_network(architecture, arguments, folder)
    assert "\n" not in str(caught.value)


def opened(folder: Path, name: str, **arguments: object) -> Adapted:
    save_file(build_network("inner/network.py:classifying", {}, folder).state_dict(), folder / "w.safetensors")
    return open_architecture(
        f"inner/network.py:{name}",
        arguments,
        folder / "w.safetensors",
        folder,
        input_shape=(1, 2, 2),
        representations=None,
        device=torch.device("cpu"),
    )


def test_a_factory_is_opened_with_its_weights(folder: Path) -> None:
    adapted = opened(folder, "classifying")
    assert adapted.kind is NetworkKind.FACTORY
    assert (adapted.file_digest, adapted.is_differentiable, adapted.limits) == (None, True, ())
    assert adapted.representations == ("1", "2")
    assert not adapted.network.training


def test_a_network_without_gradients_says_so(folder: Path) -> None:
    adapted = opened(folder, "deciding")
    assert not adapted.is_differentiable
    assert adapted.limits[0].startswith("No gradient of the logits reaches the pixels")


def test_weights_of_another_architecture_are_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"'3.weight' has shape \(2, 12\), the network expects \(5, 12\)"):
        opened(folder, "classifying", labels=5)
