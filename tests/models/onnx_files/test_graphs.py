from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from models.errors import ModelError
from models.onnx_files.graphs import check_graph, logits_name
from models.onnx_files.sessions import newest_opset

Build = Callable[..., Any]
SHAPE = (1, 2, 2)


def test_a_plain_classifier_passes(onnx_classifier: Build) -> None:
    check_graph(onnx_classifier(), SHAPE)
    assert logits_name(onnx_classifier(), None) == "logits"


def test_a_newer_opset_than_the_runtimes_is_told_with_both(onnx_classifier: Build) -> None:
    newest = newest_opset()
    assert newest >= 20
    with pytest.raises(
        ModelError, match=rf"of opset {newest + 1}, the ONNX Runtime installed knows .* up to {newest};"
    ):
        check_graph(onnx_classifier(opset=newest + 1), SHAPE)
    check_graph(onnx_classifier(opset=newest), SHAPE)


def test_an_opset_of_before_inference_was_told_apart_is_refused(onnx_classifier: Build) -> None:
    with pytest.raises(ModelError, match="of opset 6; opsets from 7 on"):
        check_graph(onnx_classifier(opset=6), SHAPE)


def test_a_second_input_is_refused_and_a_weight_among_the_inputs_is_not(onnx_classifier: Build) -> None:
    model = onnx_classifier()
    model.graph.input.append(helper.make_tensor_value_info("weight", TensorProto.FLOAT, [4, 3]))
    check_graph(model, SHAPE)
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [4]))
    with pytest.raises(ModelError, match=r"has 2 inputs \(images, mask\)"):
        check_graph(model, SHAPE)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ((1, 1, 2, 2), r"fixed at 1; .*dynamic_shapes.*dynamic_axes=\{'images': \{0: 'batch'\}\}"),
        (("n", 2, 2, 1), r"as \(height, width, channel\) \(2, 2, 1\)"),
        (("n", 1, 4, "w"), r"images of shape \(1, 4, free\) .*the spec says \(1, 2, 2\)"),
        (("n", 4), "has 2 axes"),
    ],
)
def test_inputs_of_another_shape_are_told_apart(sizes: tuple[Any, ...], words: str, onnx_model: Build) -> None:
    model = onnx_model([helper.make_node("Flatten", ["images"], ["logits"])], input_sizes=sizes)
    with pytest.raises(ModelError, match=words):
        check_graph(model, SHAPE)


def test_an_input_of_bytes_is_refused(onnx_model: Build) -> None:
    model = onnx_model([helper.make_node("Identity", ["images"], ["logits"])], input_type=TensorProto.UINT8)
    with pytest.raises(ModelError, match="normalised images as float32"):
        check_graph(model, SHAPE)


NORM = {name: np.ones(1, np.float32) for name in ("scale", "bias", "mean", "variance")}
TRAINING_NODES = {
    "batch norm that says so": helper.make_node(
        "BatchNormalization", ["images", *NORM], ["logits", "m", "v"], training_mode=1
    ),
    "batch norm that gives its statistics": helper.make_node("BatchNormalization", ["images", *NORM], ["logits", "m"]),
    "dropout": helper.make_node("Dropout", ["images", "ratio", "on"], ["logits"]),
    "dropout that is told while it runs": helper.make_node("Dropout", ["images", "ratio", "unknown"], ["logits"]),
}


@pytest.mark.parametrize("case", TRAINING_NODES)
def test_a_graph_in_training_mode_is_refused(case: str, onnx_model: Build) -> None:
    weights = NORM | {"ratio": np.float32(0.5), "on": np.array(True)}
    with pytest.raises(ModelError, match=r"in training mode .*network\.eval\(\)"):
        check_graph(onnx_model([TRAINING_NODES[case]], weights), SHAPE)


def test_batch_norm_and_dropout_that_rest_are_taken(onnx_model: Build) -> None:
    nodes = [
        helper.make_node("BatchNormalization", ["images", *NORM], ["normed"]),
        helper.make_node("Dropout", ["normed", "ratio", "off"], ["logits"]),
    ]
    check_graph(onnx_model(nodes, NORM | {"ratio": np.float32(0.5), "off": np.array(False)}), SHAPE)


def test_training_within_a_branch_is_seen(onnx_model: Build) -> None:
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    nodes = [helper.make_node("RandomNormalLike", ["images"], ["y"])]
    branch = helper.make_graph(nodes, "branch", [], [value])
    node = helper.make_node("If", ["condition"], ["logits"], then_branch=branch, else_branch=branch)
    with pytest.raises(ModelError, match="draws random numbers"):
        check_graph(onnx_model([node], {"condition": np.array(True)}), SHAPE)


def test_a_graph_that_names_files_of_compiled_code_is_refused(onnx_model: Build) -> None:
    node = helper.make_node("EPContext", ["images"], ["logits"], domain="com.microsoft", ep_cache_context="/etc/passwd")
    with pytest.raises(ModelError, match="names files of its own"):
        check_graph(onnx_model([node]), SHAPE)


@pytest.mark.parametrize("last", ["Softmax", "Sigmoid"])
def test_probabilities_are_refused_and_the_tensor_before_them_is_named(last: str, onnx_classifier: Build) -> None:
    model = onnx_classifier(last=last)
    with pytest.raises(ModelError, match=rf'ends in {last}: .* no logits; .* logits = "logits"'):
        logits_name(model, None)
    assert logits_name(model, "logits") == "logits"


def test_probabilities_are_seen_behind_what_passes_them_on(onnx_classifier: Build) -> None:
    model = onnx_classifier(last="Softmax")
    model.graph.node.append(helper.make_node("Identity", ["given"], ["named"]))
    model.graph.output[0].name = "named"
    with pytest.raises(ModelError, match="'named' holds probabilities"):
        logits_name(model, None)


def test_logarithms_of_probabilities_are_logits(onnx_classifier: Build) -> None:
    assert logits_name(onnx_classifier(last="LogSoftmax"), None) == "given"


def test_labels_are_no_logits(onnx_classifier: Build) -> None:
    with pytest.raises(ModelError, match=r"ends in ArgMax: .* holds labels"):
        logits_name(onnx_classifier(last="ArgMax"), None)


def test_of_several_outputs_one_must_be_named(onnx_classifier: Build) -> None:
    model = onnx_classifier()
    model.graph.output.append(helper.make_empty_tensor_value_info("features"))
    with pytest.raises(ModelError, match=r"2 outputs \(logits, features\); name one"):
        logits_name(model, None)


def test_a_tensor_that_is_not_there_is_told_with_those_like_it(onnx_classifier: Build) -> None:
    with pytest.raises(ModelError, match="no tensor 'logit' to take as logits; near it are 'logits'"):
        logits_name(onnx_classifier(), "logit")


def test_a_damaged_graph_that_runs_in_a_circle_ends(onnx_model: Build) -> None:
    nodes = [helper.make_node("Identity", ["a"], ["logits"]), helper.make_node("Identity", ["logits"], ["a"])]
    assert logits_name(onnx_model(nodes), None) == "logits"
