"""A network whose logits are W·x², with x² for a representation, and gradients of it by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from models.errors import ModelError
from models.onnx_files.operator import OnnxNetwork
from models.onnx_files.sessions import open_session
from models.onnx_files.vjp import open_gradient

CPU = torch.device("cpu")
SHAPE = (1, 2, 2)
WEIGHTS = np.array([[1, -2, 3], [0, 1, 0], [4, 0, -1], [2, 2, 2]], np.float32)
FORWARD = [
    helper.make_node("Flatten", ["pixels"], ["flat"]),
    helper.make_node("Mul", ["flat", "flat"], ["squares"]),
    helper.make_node("MatMul", ["squares", "weights"], ["logits"]),
]
SIZES = {"pixels": SHAPE, "cotangent.logits": (3,), "cotangent.squares": (4,), "gradient": SHAPE}
SIZES |= {"logits": (3,), "squares": (4,)}


def model_of(nodes: list[Any], inputs: list[str], outputs: list[str], **weights: Any) -> Any:
    values = {
        name: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", *size]) for name, size in SIZES.items()
    }
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    ends = [[values[name] for name in names] for names in (inputs, outputs)]
    graph = helper.make_graph(nodes, "squares", *ends, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.fixture
def network() -> OnnxNetwork:
    model = model_of(FORWARD, ["pixels"], ["logits", "squares"], weights=WEIGHTS)
    session = open_session(model.SerializeToString(), CPU)
    return OnnxNetwork(model=model, session=session, output_shapes=((3,), (4,)))


def gradient(*, of_logits: float = 2, of_squares: float = 2) -> Any:
    """2·x·(W·c + d), for cotangents c of the logits and d of the squares."""
    nodes = [
        *FORWARD,
        helper.make_node("MatMul", ["cotangent.logits", "transposed"], ["by_logits"]),
        helper.make_node("Mul", ["by_logits", "of_logits"], ["first"]),
        helper.make_node("Mul", ["cotangent.squares", "of_squares"], ["second"]),
        helper.make_node("Add", ["first", "second"], ["both"]),
        helper.make_node("Mul", ["both", "flat"], ["product"]),
        helper.make_node("Reshape", ["product", "shape"], ["gradient"]),
    ]
    return model_of(
        nodes,
        ["pixels", "cotangent.logits", "cotangent.squares"],
        ["logits", "squares", "gradient"],
        weights=WEIGHTS,
        transposed=WEIGHTS.T.copy(),
        of_logits=np.float32(of_logits),
        of_squares=np.float32(of_squares),
        shape=np.array([-1, *SHAPE]),
    )


def test_a_gradient_that_is_one_is_taken(network: OnnxNetwork) -> None:
    product = open_gradient(gradient(), network, SHAPE, CPU)
    images = torch.tensor([[[[1.0, 2], [3, 4]]]])
    found = product(images, [torch.tensor([[1.0, 0, 0]]), torch.tensor([[0, 0, 0, 1.0]])])
    assert found.flatten().tolist() == [2, 0, 24, 24]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"of_logits": -2}, "gradient of the logits: along random directions it is off by 200%"),
        ({"of_logits": 0}, "gradient of the logits: along random directions it is off by 100%"),
        ({"of_squares": -2}, "gradient of representation 1: along random directions it is off by 200%"),
        ({"of_squares": 3}, "gradient of representation 1: along random directions it is off by 50%"),
    ],
)
def test_a_gradient_with_another_sign_or_scale_is_refused(
    network: OnnxNetwork, changes: dict[str, float], told: str
) -> None:
    with pytest.raises(ModelError, match=told):
        open_gradient(gradient(**changes), network, SHAPE, CPU)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (
            lambda model: model.graph.node.add(op_type="RandomNormal", output=["noise"]),
            r"random numbers \(RandomNormal",
        ),
        (lambda model: model.graph.node.add(op_type="EPContext", output=["made"]), "compiled for one machine"),
        (lambda model: setattr(model.opset_import[0], "version", 999), "is of opset 999"),
    ],
)
def test_the_file_of_a_gradient_is_checked_as_that_of_a_classifier_is(
    network: OnnxNetwork, spoil: Callable[[Any], object], told: str
) -> None:
    model = gradient()
    spoil(model)
    with pytest.raises(ModelError, match=told):
        open_gradient(model, network, SHAPE, CPU)
