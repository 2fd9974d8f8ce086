from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.jit import ScriptModule

from models.adapters.script_graph import called_modules, with_outputs
from models.adapters.torchscript import open_torchscript


class Doubling(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return 2 * values


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.twice = Doubling()

    def forward(self, values: Tensor) -> Tensor:
        return self.twice(values) + 1


class Outer(nn.Module):
    """Images x to 4x + 3 by the block, then twice that; `loop` doubles within a loop, `unused` not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(Inner(), Inner())
        self.twice = Doubling()
        self.loop = Doubling()
        self.unused = Doubling()

    def finished(self, values: Tensor) -> Tensor:
        return self.twice(self.block(values))

    def forward(self, images: Tensor) -> Tensor:
        values = self.finished(images.flatten(1))
        for _ in range(images.size(0) - images.size(0)):
            values = self.loop(values)
        return values


@pytest.fixture
def script(saved_script: Callable[..., Path], tmp_path: Path) -> ScriptModule:
    path = saved_script(Outer().eval(), tmp_path / "outer.ts")
    adapted = open_torchscript(path, representations=["block"], input_shape=(1, 1, 2), device=torch.device("cpu"))
    assert isinstance(adapted.network.script, ScriptModule)
    return adapted.network.script


def test_modules_are_listed_as_their_calls_end(script: ScriptModule) -> None:
    assert called_modules(script) == ["block.0.twice", "block.0", "block.1.twice", "block.1", "block", "twice"]


def test_each_gives_its_own_output_in_the_order_asked_for(script: ScriptModule) -> None:
    images = torch.tensor([[1.0, 2.0]]).view(1, 1, 1, 2)
    outputs = with_outputs(script, ["twice", "block", "block.1.twice", "block.0"])(script, images)
    assert [output.tolist() for output in outputs] == [
        [[14, 22]],
        [[14, 22]],
        [[7, 11]],
        [[6, 10]],
        [[3, 5]],
    ]


class Repeated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.twice = Doubling()

    def forward(self, images: Tensor) -> Tensor:
        return self.twice(self.twice(images.flatten(1)))


def test_of_a_module_that_runs_twice_the_last_output_is_taken(
    saved_script: Callable[..., Path], tmp_path: Path
) -> None:
    path = saved_script(Repeated(), tmp_path / "repeated.ts", torch.rand(2, 1, 1, 2))
    adapted = open_torchscript(path, representations=["twice"], input_shape=(1, 1, 2), device=torch.device("cpu"))
    script = adapted.network.script
    assert with_outputs(script, ["twice"])(script, torch.ones(1, 1, 1, 2))[1].tolist() == [[4, 4]]
