import sys
from pathlib import Path

import pytest
from torch import nn

from models.architectures import build_network
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
        ("torchvision:resnet18", {"pretrained": True}, "'pretrained' would fetch weights"),
        ("torchvision:fcn_resnet50", {}, "torchvision has no classifier 'fcn_resnet50'"),
    ],
)
def test_what_cannot_be_built_is_one_clear_line(
    folder: Path, architecture: str, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        build_network(architecture, arguments, folder)
    assert "\n" not in str(caught.value)
