from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import helper
from torch import Tensor, nn

from models.errors import ModelError
from models.onnx_files.opening import open_classifier_graph
from models.onnx_files.outputs import with_outputs
from models.onnx_files.sessions import open_session
from models.onnx_files.shape_folding import fold_shapes
from models.onnx_files.torch_conversion import convert

Build = Callable[..., Any]
SHAPE = (2, 4, 6)

node = helper.make_node
INT = np.int64
# Operations of opset 20 on images of 2×4×6, each with what it takes beside them.
OPERATIONS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "reshape": ([node("Reshape", ["images", "s"], ["y"], allowzero=1)], {"s": np.array([-1, 2, 24])}),
    "reshape that keeps": ([node("Reshape", ["images", "s"], ["y"])], {"s": np.array([0, 0, 24])}),
    "reshape by the batch": (
        [
            node("Shape", ["images"], ["n"], start=0, end=1),
            node("Concat", ["n", "rest"], ["s"], axis=0),
            node("Reshape", ["images", "s"], ["y"], allowzero=1),
        ],
        {"rest": np.array([8, 6])},
    ),
    "expand by the batch": (
        [
            node("Shape", ["images"], ["n"], start=0, end=1),
            node("Concat", ["n", "rest"], ["s"], axis=0),
            node("Expand", ["token", "s"], ["tokens"]),
            node("Reshape", ["images", "flat"], ["rows"]),
            node("Concat", ["tokens", "rows"], ["y"], axis=1),
        ],
        {"rest": np.array([1, 6]), "token": np.arange(6, dtype=np.float32)[None, None], "flat": np.array([-1, 8, 6])},
    ),
    "slice": (
        [node("Slice", ["images", "from", "to", "axes", "steps"], ["y"])],
        {
            "from": np.array([1, -5]),
            "to": np.array([4, 2**63 - 1]),
            "axes": np.array([2, -1]),
            "steps": np.array([2, 1]),
        },
    ),
    "slice backwards": (
        [node("Slice", ["images", "from", "to", "axes", "steps"], ["y"])],
        {"from": np.array([-1]), "to": np.array([-100]), "axes": np.array([3]), "steps": np.array([-1])},
    ),
    "unsqueeze and squeeze": (
        [
            node("Unsqueeze", ["images", "in"], ["longer"]),
            node("Unsqueeze", ["longer", "in"], ["longest"]),
            node("Squeeze", ["longest", "out"], ["y"]),
        ],
        {"in": np.array([-1, 1]), "out": np.array([2, -1])},
    ),
    "pad some axes": (
        [node("Pad", ["images", "pads", "value", "axes"], ["y"])],
        {"pads": np.array([1, 0, 2, 3]), "value": np.float32(0.5), "axes": np.array([3, 2])},
    ),
    "pad by reflection": (
        [node("Pad", ["images", "pads"], ["y"], mode="reflect")],
        {"pads": np.array([0, 0, 1, 2, 0, 0, 1, 1])},
    ),
    "split evenly": (
        [node("Split", ["images"], ["a", "b", "c"], axis=3, num_outputs=3), node("Sub", ["a", "c"], ["y"])],
        {},
    ),
    "split by sizes": (
        [node("Split", ["images", "sizes"], ["a", "y"], axis=3)],
        {"sizes": np.array([2, 4])},
    ),
    "layer norm": (
        [node("LayerNormalization", ["images", "scale", "bias"], ["y"], axis=-2, epsilon=1e-3)],
        {"scale": np.linspace(1, 2, 24, dtype=np.float32).reshape(4, 6), "bias": np.ones((4, 6), np.float32)},
    ),
    "clip from above": ([node("Clip", ["images", "", "most"], ["y"])], {"most": np.float32(0.5)}),
    "gather one": ([node("Gather", ["images", "i"], ["y"], axis=2)], {"i": np.array(-2)}),
    "gather some": ([node("Gather", ["images", "i"], ["y"], axis=2)], {"i": np.array([3, -4])}),
    "gelu": ([node("Gelu", ["images"], ["y"])], {}),
    "gelu by tanh": ([node("Gelu", ["images"], ["y"], approximate="tanh")], {}),
    "mish": ([node("Mish", ["images"], ["y"])], {}),
    "weights under two names": (
        [node("Identity", ["w"], ["v"]), node("Mul", ["images", "v"], ["a"]), node("Add", ["a", "w"], ["y"])],
        {"w": np.full((2, 1, 1), 3, np.float32)},
    ),
    **{
        kind: ([node(kind, ["images", "axes"], ["y"], keepdims=0)], {"axes": np.array([-1, 2])})
        for kind in ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2")
    },
}


@pytest.mark.parametrize("case", OPERATIONS)
def test_an_operation_gives_what_onnx_runtime_gives_and_has_a_gradient(case: str, onnx_model: Build) -> None:
    nodes, weights = OPERATIONS[case]
    model = onnx_model(nodes, weights, input_sizes=("n", *SHAPE), outputs=["y"], opset=20)
    images = torch.randn(5, *SHAPE, generator=torch.Generator().manual_seed(0), requires_grad=True)
    session = open_session(model.SerializeToString(), torch.device("cpu"))
    (expected,) = session.run(None, {"images": images.detach().numpy()})
    given = convert(model, SHAPE)(images)
    torch.testing.assert_close(given.detach(), torch.from_numpy(expected), rtol=1e-5, atol=1e-5)
    (gradient,) = torch.autograd.grad(given.square().sum(), images)
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize(
    "case", ["reshape by the batch", "expand by the batch", "slice", "gather some", "pad some axes"]
)
def test_an_operation_is_traced_with_a_free_number_of_images(case: str, onnx_model: Build) -> None:
    nodes, weights = OPERATIONS[case]
    model = onnx_model(nodes, weights, input_sizes=("n", *SHAPE), outputs=["y"], opset=20)
    converted = convert(model, SHAPE)
    batch = ({0: torch.export.Dim("batch", min=1, max=64)},)
    program = torch.export.export(converted, (torch.rand(3, *SHAPE),), dynamic_shapes=batch, strict=False)
    images = torch.rand(7, *SHAPE)
    torch.testing.assert_close(program.module()(images), converted(images), rtol=0, atol=0)


def test_what_follows_from_the_size_of_the_images_alone_is_computed_once(onnx_model: Build) -> None:
    nodes = [
        node("Shape", ["images"], ["shape"]),
        node("Gather", ["shape", "three"], ["width"]),
        node("Gather", ["shape", "zero"], ["n"]),
        node("Cast", ["width"], ["real"], to=1),
        node("Sqrt", ["real"], ["root"]),
        node("Cast", ["n"], ["count"], to=1),
        node("Mul", ["images", "root"], ["scaled"]),
        node("Mul", ["scaled", "count"], ["y"]),
    ]
    weights = {"three": np.array(3), "zero": np.array(0)}
    model = onnx_model(nodes, weights, input_sizes=("n", *SHAPE), outputs=["y"])
    folded = fold_shapes(with_outputs(model, ["y"]), SHAPE)
    # How many images there are is not known yet.
    assert [one.op_type for one in folded.graph.node] == ["Shape", "Gather", "Cast", "Mul", "Mul"]
    (root,) = [tensor for tensor in folded.graph.initializer if tensor.name == "root"]
    assert helper.get_node_attr_value(helper.make_node("Constant", [], ["r"], value=root), "value") == root


def test_a_name_that_is_a_program_is_not_run(onnx_model: Build, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    program = f"import pathlib; pathlib.Path({str(proof)!r}).touch()"
    # Names of nodes are attributes of the converted module, which torch writes into its source between quotes.
    name = f'y", exec(bytes({list(program.encode())}))) or getattr(self, "initializers'
    nodes = [node("Relu", ["images"], ["a"], name=name), node("Neg", ["a"], ["y"])]
    converted = convert(onnx_model(nodes, input_sizes=("n", *SHAPE), outputs=["y"]), SHAPE)
    assert converted(torch.ones(1, *SHAPE)).unique().tolist() == [-1]
    assert not proof.exists()


def test_an_operation_without_counterpart_is_named(onnx_model: Build) -> None:
    nodes = [node("Hardmax", ["images"], ["y"])]
    with pytest.raises(ModelError, match="cannot be converted to torch: onnx2torch has nothing for Hardmax"):
        convert(onnx_model(nodes, input_sizes=("n", *SHAPE), outputs=["y"]), SHAPE)


def test_a_whole_graph_keeps_its_outputs_in_order(digits_opset17: Path) -> None:
    graph = open_classifier_graph(digits_opset17, logits=None, representations=None, input_shape=(1, 8, 8))
    outputs = convert(graph.model, (1, 8, 8))(torch.rand(2, 1, 8, 8))
    assert [tuple(output.shape[1:]) for output in outputs] == list(graph.output_shapes)


def test_converted_modules_hold_nothing_that_learns(onnx_classifier: Build) -> None:
    converted = convert(with_outputs(onnx_classifier(), ["logits", "features"]), (1, 2, 2))
    assert isinstance(converted, nn.Module)
    assert not converted.training
    assert not any(parameter.requires_grad for parameter in converted.parameters())
    values: Tensor = converted(torch.ones(1, 1, 2, 2))[0]
    assert values.tolist() == [[2, 4, 6]]
