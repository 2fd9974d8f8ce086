"""The digits network in the formats that torch saves."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.export import Dim

from models.digits import SmallConvNet


def save_program(network: nn.Module, path: Path, *images: torch.Tensor, is_free: bool = True) -> Path:
    shapes = tuple({0: Dim("batch")} for _ in images) if is_free else None
    torch.export.save(torch.export.export(network, images, dynamic_shapes=shapes), path)
    return path


def save_script(network: nn.Module, path: Path, *images: torch.Tensor) -> Path:
    """Traced if images are given, scripted otherwise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script = torch.jit.trace(network, images) if images else torch.jit.script(network)
        script.save(str(path))
    return path


@pytest.fixture
def saved_program() -> Callable[..., Path]:
    return save_program


@pytest.fixture
def saved_script() -> Callable[..., Path]:
    return save_script


@pytest.fixture(scope="session")
def digits_program(digits_in_torch: SmallConvNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_program(digits_in_torch, tmp_path_factory.mktemp("program") / "digits.pt2", torch.rand(2, 1, 8, 8))


@pytest.fixture(scope="session")
def digits_script(digits_in_torch: SmallConvNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_script(digits_in_torch, tmp_path_factory.mktemp("script") / "digits.ts", torch.rand(2, 1, 8, 8))
