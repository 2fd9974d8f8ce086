from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from models.errors import ModelError
from models.onnx_files.layers import default_representations
from models.onnx_files.probing import see_tensors

Build = Callable[..., Any]
DIGITS_SHAPE = (1, 8, 8)
STAGES = [(32, 8, 8), (64, 4, 4), (64, 2, 2), (64,)]


@pytest.mark.parametrize(("fixture", "logits"), [("digits_opset17", "logits"), ("digits_opset20", "linear")])
def test_the_last_tensor_of_each_resolution_and_the_features_are_taken(
    fixture: str, logits: str, request: pytest.FixtureRequest
) -> None:
    path: Path = request.getfixturevalue(fixture)
    model = onnx.load(path)
    names = default_representations(model, logits, DIGITS_SHAPE)
    assert [tensor.shape for tensor in see_tensors(model, names, DIGITS_SHAPE).values()] == STAGES
    # The one after batch norm and activation.
    assert "relu" in names[0].lower()


def block(stream: str, index: int) -> tuple[list[Any], str]:
    """One block of a transformer: attention of tokens among themselves, rejoining the stream."""
    names = [f"{part}{index}" for part in ("turned", "scores", "weights", "mixed", "heads", "sum", "biased")]
    turned, scores, weights, mixed, heads, total, biased = names
    return [
        helper.make_node("Unsqueeze", [stream, "one"], [heads]),
        helper.make_node("Transpose", [heads], [turned], perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", [heads, turned], [scores]),
        helper.make_node("Softmax", [scores], [weights]),
        helper.make_node("MatMul", [weights, heads], [f"{mixed}4"]),
        helper.make_node("Squeeze", [f"{mixed}4", "one"], [mixed]),
        helper.make_node("Add", [mixed, "bias"], [biased]),
        helper.make_node("Add", [stream, biased], [total]),
    ], total


def test_a_transformer_is_divided_by_depth_where_its_blocks_rejoin_the_stream(onnx_model: Build) -> None:
    weights = {
        "tokens": np.array([0, 16, 4]),
        "one": np.array([1]),
        "bias": np.zeros(4, np.float32),
        "head": np.ones((4, 3), np.float32),
    }
    nodes, stream = [helper.make_node("Reshape", ["images", "tokens"], ["stream"])], "stream"
    for index in range(8):
        more, stream = block(stream, index)
        nodes += more
    nodes += [
        helper.make_node("ReduceMean", [stream], ["pooled"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["pooled", "head"], ["logits"]),
    ]
    model = onnx_model(nodes, weights, input_sizes=("n", 1, 8, 8))
    # Maps of attention are 16 by 16, and no picture of the image.
    assert default_representations(model, "logits", DIGITS_SHAPE) == ("sum1", "sum3", "sum5", "sum7", "pooled")


def test_a_network_without_maps_gives_what_its_head_takes(onnx_classifier: Build) -> None:
    assert default_representations(onnx_classifier(), "logits", (1, 2, 2)) == ("doubled", "features")


def test_a_graph_that_is_all_head_is_told(onnx_model: Build) -> None:
    model = onnx_model([helper.make_node("Flatten", ["images"], ["logits"])])
    with pytest.raises(ModelError, match="name some under representations"):
        default_representations(model, "logits", (1, 2, 2))


def test_logits_that_are_no_rows_are_told(onnx_model: Build) -> None:
    nodes = [helper.make_node("ReduceMean", ["images"], ["logits"], keepdims=0)]
    with pytest.raises(ModelError, match="has no row of logits an image"):
        default_representations(onnx_model(nodes), "logits", (1, 2, 2))


def test_a_batch_axis_that_is_fixed_within_is_told(onnx_model: Build) -> None:
    nodes = [helper.make_node("Reshape", ["images", "shape"], ["logits"])]
    with pytest.raises(ModelError, match=r"fails on 3 images .* free batch axis throughout"):
        see_tensors(onnx_model(nodes, {"shape": np.array([1, 4])}), ["logits"], (1, 2, 2))


def test_tensors_that_are_no_numbers_of_each_image_are_not_seen(onnx_model: Build) -> None:
    nodes = [
        helper.make_node("Flatten", ["images"], ["rows"]),
        helper.make_node("Shape", ["images"], ["shape"]),
        helper.make_node("ArgMax", ["rows"], ["labels"], axis=1),
        helper.make_node("Transpose", ["rows"], ["columns"]),
    ]
    seen = see_tensors(onnx_model(nodes), ["shape", "rows", "labels", "columns"], (1, 2, 2))
    assert {name: tensor.shape for name, tensor in seen.items()} == {"rows": (4,)}
