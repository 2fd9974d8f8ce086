"""ONNX files that tests share: exported networks, and graphs written node by node."""

import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from models.digits import SmallConvNet, digits_network

sys.path.insert(0, str(Path(__file__).parent))

DIGITS_SHAPE = (1, 8, 8)


@pytest.fixture(scope="session")
def digits_in_torch() -> SmallConvNet:
    """An untrained network whose logits differ from label to label."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return digits_network().eval()


def export(network: nn.Module, path: Path, *, opset: int) -> Path:
    """Write a network for images of 8×8 pixels with a free batch axis, up to opset 17 by the older exporter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example = (torch.rand(3, *DIGITS_SHAPE),)
        if opset <= 17:
            axes = {"images": {0: "batch"}, "logits": {0: "batch"}}
            names = {"input_names": ["images"], "output_names": ["logits"], "dynamic_axes": axes}
            torch.onnx.export(network, example, path, dynamo=False, opset_version=opset, **names)
        else:
            shapes = ({0: torch.export.Dim("batch", min=1, max=4096)},)
            torch.onnx.export(
                network,
                example,
                path,
                dynamo=True,
                opset_version=opset,
                dynamic_shapes=shapes,
                verbose=False,
                external_data=False,
            )
    return path


@pytest.fixture(scope="session")
def digits_opset17(digits_in_torch: SmallConvNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(digits_in_torch, tmp_path_factory.mktemp("onnx") / "digits17.onnx", opset=17)


@pytest.fixture(scope="session")
def digits_opset20(digits_in_torch: SmallConvNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(digits_in_torch, tmp_path_factory.mktemp("onnx") / "digits20.onnx", opset=20)


def make_model(
    nodes: Sequence[Any],
    weights: dict[str, Any] | None = None,
    *,
    input_sizes: Sequence[int | str] = ("batch", 1, 2, 2),
    outputs: Sequence[str] = ("logits",),
    opset: int = 17,
    input_type: int = TensorProto.FLOAT,
) -> Any:
    """A model whose input is `images`; types and shapes of its outputs are not told."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("images", input_type, input_sizes)],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (weights or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def make_classifier(*, dtype: Any = np.float32, opset: int = 17, last: str | None = None) -> Any:
    """On images of 2×2 pixels: `features` are the pixels doubled, `logits` 0.5, 1 and 1.5 times their sum.

    With `last`, an operation on the logits makes `given`, and nothing says that they are logits.
    """
    nodes = [
        helper.make_node("Add", ["images", "images"], ["doubled"]),
        helper.make_node("Flatten", ["doubled"], ["features"]),
        helper.make_node("MatMul", ["features", "weight"], ["logits"]),
    ]
    if last:
        nodes.append(helper.make_node(last, ["logits"], ["given"]))
    weight = np.tile(np.array([[0.25, 0.5, 0.75]], dtype), (4, 1))
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return make_model(nodes, {"weight": weight}, outputs=["given" if last else "logits"], opset=opset, input_type=kind)


@pytest.fixture
def onnx_model() -> Callable[..., Any]:
    return make_model


@pytest.fixture
def onnx_classifier() -> Callable[..., Any]:
    return make_classifier


@pytest.fixture
def saved_onnx(tmp_path: Path) -> Callable[[Any], Path]:
    def save(model: Any) -> Path:
        path = tmp_path / "model.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return save
