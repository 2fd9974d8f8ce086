import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from models.adapters.adapted import Adapted, NetworkKind
from models.adapters.opening import open_network
from models.errors import ModelError
from models.spec_file import Spec

BASE = {"name": "any", "labels": ["a", "b"], "input_size": [2, 2], "channels": 1, "mean": [0.0], "std": [1.0]}


def adapted(kind: NetworkKind) -> Adapted:
    return Adapted(
        network=nn.Flatten(),
        kind=kind,
        file_digest="1" * 64,
        representations=("a",),
        is_differentiable=True,
        limits=("One limit.",),
    )


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What was asked of the two ways to open ONNX files, which stand in for themselves; `odd.onnx` does not convert."""
    made: list[tuple[str, dict[str, Any]]] = []

    def open_with_onnx_runtime(path: Path, **asked: Any) -> Adapted:
        made.append(("runtime", asked))
        return adapted(NetworkKind.ONNX_RUNTIME)

    def open_onnx_as_torch(path: Path, **asked: Any) -> Adapted:
        made.append(("torch", asked))
        if path.name == "odd.onnx":
            raise ModelError("the operation Odd has no counterpart in torch")
        return adapted(NetworkKind.ONNX_AS_TORCH)

    runtime, conversion = types.ModuleType("onnx_runtime"), types.ModuleType("onnx_conversion")
    runtime.open_with_onnx_runtime = open_with_onnx_runtime
    conversion.open_onnx_as_torch = open_onnx_as_torch
    monkeypatch.setitem(sys.modules, "models.adapters.onnx_runtime", runtime)
    monkeypatch.setitem(sys.modules, "models.adapters.onnx_conversion", conversion)
    return made


def opened(**keys: Any) -> Adapted:
    return open_network(Spec.model_validate(BASE | keys), Path(), torch.device("cpu"))


def test_a_graph_that_converts_becomes_torch_operations(calls: list[tuple[str, dict[str, Any]]]) -> None:
    assert opened(model="x.onnx", logits="z", representations=["a"]).kind is NetworkKind.ONNX_AS_TORCH
    assert calls == [("torch", {"logits": "z", "representations": ["a"], "input_shape": (1, 2, 2)})]


def test_one_that_does_not_runs_in_onnx_runtime_and_says_why(calls: list[tuple[str, dict[str, Any]]]) -> None:
    found = opened(model="odd.onnx")
    assert found.kind is NetworkKind.ONNX_RUNTIME
    assert found.limits == (
        "The graph runs in ONNX Runtime, since as torch operations it does not: "
        "the operation Odd has no counterpart in torch.",
        "One limit.",
    )


def test_a_runtime_that_is_named_is_the_one(calls: list[tuple[str, dict[str, Any]]]) -> None:
    assert opened(model="x.onnx", runtime="onnxruntime").limits == ("One limit.",)
    with pytest.raises(ModelError, match="Odd has no counterpart"):
        opened(model="odd.onnx", runtime="torch")
    assert [way for way, _ in calls] == ["runtime", "torch"]


def test_a_graph_of_the_gradient_goes_to_onnx_runtime(calls: list[tuple[str, dict[str, Any]]]) -> None:
    opened(model="x.onnx", gradient="g.onnx")
    ((way, asked),) = calls
    assert way == "runtime"
    assert (asked["gradient"], asked["device"]) == (Path("g.onnx"), torch.device("cpu"))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"model": "absent.pt2"}, "there is no exported program absent.pt2"),
        ({"model": "absent.ts"}, "there is no TorchScript file absent.ts"),
        ({"model": "absent.torchscript"}, "there is no TorchScript file"),
        ({"model": "absent.pt"}, "there is no TorchScript file"),
        ({"architecture": "torch.nn:Flatten", "weights": "absent.pt"}, "there is no weight file absent.pt"),
    ],
)
def test_every_ending_has_its_reader(keys: dict[str, str], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        opened(**keys)
