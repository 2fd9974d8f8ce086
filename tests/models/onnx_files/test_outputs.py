from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper

from models.errors import ModelError
from models.onnx_files.outputs import in_float32, with_outputs
from models.onnx_files.sessions import open_session

Build = Callable[..., Any]
IMAGES = np.array([[[[1, 2], [3, 4]]]], np.float32)


def run(model: Any, images: np.ndarray = IMAGES) -> list[Any]:
    session = open_session(model.SerializeToString(), torch.device("cpu"))
    outputs: list[Any] = session.run(None, {session.get_inputs()[0].name: images})
    return outputs


def test_tensors_within_a_graph_become_its_outputs_in_the_order_in_which_they_are_named(
    onnx_classifier: Build,
) -> None:
    model = onnx_classifier()
    features, logits = run(with_outputs(model, ["features", "logits"]))
    assert features.tolist() == [[2, 4, 6, 8]]
    assert logits.tolist() == [[5, 10, 15]]
    assert [value.name for value in model.graph.output] == ["logits"]


def test_what_no_output_needs_is_left_out(onnx_classifier: Build) -> None:
    cut = with_outputs(onnx_classifier(last="Softmax"), ["features"])
    assert [node.op_type for node in cut.graph.node] == ["Add", "Flatten"]
    assert not cut.graph.initializer


def test_what_a_branch_takes_from_around_it_is_kept(onnx_model: Build) -> None:
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    branch = helper.make_graph([helper.make_node("Add", ["negated", "one"], ["y"])], "branch", [], [value])
    nodes = [
        helper.make_node("Neg", ["images"], ["negated"]),
        helper.make_node("Exp", ["images"], ["unused"]),
        helper.make_node("If", ["condition"], ["logits"], then_branch=branch, else_branch=branch),
    ]
    cut = with_outputs(onnx_model(nodes, {"condition": np.array(True), "one": np.float32(1)}), ["logits"])
    assert [node.op_type for node in cut.graph.node] == ["Neg", "If"]
    assert run(cut)[0].ravel().tolist() == [0, -1, -2, -3]


def test_weights_of_old_files_are_inputs_no_longer(onnx_classifier: Build) -> None:
    model = onnx_classifier()
    model.ir_version = 3
    model.graph.input.append(helper.make_tensor_value_info("weight", TensorProto.FLOAT, [4, 3]))
    cut = with_outputs(model, ["logits"])
    assert [value.name for value in cut.graph.input] == ["images"]
    assert run(cut)[0].tolist() == [[5, 10, 15]]


def test_a_name_that_is_not_there_is_told_with_those_like_it(onnx_classifier: Build) -> None:
    with pytest.raises(ModelError, match="no tensor 'feature'; near it are 'features'"):
        with_outputs(onnx_classifier(), ["feature"])


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_graphs_of_other_precision_take_and_give_float32(dtype: Any, onnx_classifier: Build) -> None:
    cut = with_outputs(onnx_classifier(dtype=dtype), ["logits", "features"])
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    logits, features = run(in_float32(cut, [kind, kind]))
    assert logits.dtype == features.dtype == np.float32
    assert logits.tolist() == [[5, 10, 15]]
