import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from models.errors import ModelError
from models.onnx_files.operator import OnnxNetwork, register_network
from models.onnx_files.opset_conversion import classifier_in_opset
from models.onnx_files.outputs import with_outputs
from models.onnx_files.sessions import open_session, run_session
from models.onnx_files.splicing import splice, translations

Build = Callable[..., Any]
CPU = torch.device("cpu")
IMAGES = np.array([[[[1, 2], [3, 4]]], [[[0, 0], [0, 1]]]], np.float32)


def opened(model: Any, outputs: dict[str, tuple[int, ...]]) -> OnnxNetwork:
    cut = with_outputs(model, list(outputs))
    session = open_session(cut.SerializeToString(), CPU)
    return OnnxNetwork(model=cut, session=session, output_shapes=tuple(outputs.values()))


def caller(onnx_model: Build, handle: int, opset: int = 17) -> Any:
    """Calls a classifier twice: logits of the images, less the sum of the features of their negatives."""
    nodes = [
        helper.make_node("Neg", ["images"], ["weight"]),
        helper.make_node("onnx_network", ["images"], ["logits", ""], domain="isthmus", handle=handle),
        helper.make_node("onnx_network", ["weight"], ["", "classifier0/"], domain="isthmus", handle=handle),
        helper.make_node("ReduceSum", ["classifier0/", "axes"], ["total"]),
        helper.make_node("Sub", ["logits", "total"], ["given"]),
    ]
    model = onnx_model(nodes, {"axes": np.array([1])}, outputs=["given"], opset=opset)
    model.opset_import.append(helper.make_opsetid("isthmus", 1))
    return model


def run(model: Any) -> Any:
    session = open_session(model.SerializeToString(), CPU)
    return session.run(None, {"images": IMAGES})[0]


def test_each_call_becomes_a_copy_of_the_graph_and_weights_are_there_once(
    onnx_classifier: Build, onnx_model: Build
) -> None:
    network = opened(onnx_classifier(), {"logits": (3,), "features": (4,)})
    spliced = splice(caller(onnx_model, register_network(network)))
    # Logits 5, 10, 15 and 0.5, 1, 1.5; the features of the negatives sum to −20 and −2.
    assert run(spliced).tolist() == [[25, 30, 35], [2.5, 3, 3.5]]
    assert [node.op_type for node in spliced.graph.node].count("MatMul") == 2
    assert len(spliced.graph.initializer) == 2
    assert {entry.domain for entry in spliced.opset_import} == {""}
    onnx.checker.check_model(with_types(spliced))


def with_types(model: Any) -> Any:
    """The checker wants outputs to have types."""
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("given", TensorProto.FLOAT, ["batch", 3]))
    return model


@pytest.mark.parametrize(("classifier", "around"), [(13, 20), (20, 13)])
def test_graphs_of_different_opsets_meet_in_the_newer(
    classifier: int, around: int, onnx_classifier: Build, onnx_model: Build
) -> None:
    network = opened(onnx_classifier(opset=classifier), {"logits": (3,), "features": (4,)})
    spliced = splice(caller(onnx_model, register_network(network), around))
    assert [entry.version for entry in spliced.opset_import] == [20]
    assert run(spliced).tolist() == [[25, 30, 35], [2.5, 3, 3.5]]


def test_a_graph_whose_translation_computes_something_else_is_refused(
    onnx_classifier: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = onnx_classifier(opset=13)
    wrong = onnx_classifier(opset=20)
    wrong.graph.node[0].op_type = "Mul"
    monkeypatch.setattr("onnx.version_converter.convert_version", lambda _model, _version: wrong)
    with pytest.raises(ModelError, match="of opset 13 computes something else in opset 20"):
        classifier_in_opset(model, 20)


def test_names_within_branches_are_kept_apart_from_those_around_them(onnx_model: Build) -> None:
    value = helper.make_tensor_value_info("deep", TensorProto.FLOAT, None)
    # `images` is the classifier's own input; `sum` is a name in the graph around it, too.
    inner = [
        helper.make_node("Add", ["images", "two"], ["sum"]),
        helper.make_node("Mul", ["sum", "two"], ["deep"]),
    ]
    nodes = [
        helper.make_node("Identity", ["images"], ["twice"]),
        helper.make_node(
            "If",
            ["condition"],
            ["map"],
            then_branch=helper.make_graph(inner, "then", [], [value]),
            else_branch=helper.make_graph(inner, "else", [], [value]),
        ),
        helper.make_node("Sub", ["map", "twice"], ["logits4"]),
        helper.make_node("Flatten", ["logits4"], ["logits"]),
    ]
    classifier = onnx_model(nodes, {"condition": np.array(True), "two": np.float32(2)})
    network = opened(classifier, {"logits": (4,)})
    handle = register_network(network)
    around = [
        helper.make_node("Neg", ["images"], ["twice"]),
        helper.make_node("onnx_network", ["twice"], ["sum"], domain="isthmus", handle=handle),
        helper.make_node("onnx_network", ["images"], ["map"], domain="isthmus", handle=handle),
        helper.make_node("Add", ["sum", "map"], ["given"]),
    ]
    model = onnx_model(around, outputs=["given"])
    model.opset_import.append(helper.make_opsetid("isthmus", 1))
    # 2 (x + 2) − x is x + 4, and that of −x is 4 − x.
    assert run(splice(model)).tolist() == [[8] * 4] * 2


def test_calls_within_branches_are_replaced_too(onnx_classifier: Build, onnx_model: Build) -> None:
    network = opened(onnx_classifier(), {"logits": (3,)})
    handle = register_network(network)
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    call = helper.make_node("onnx_network", ["images"], ["y"], domain="isthmus", handle=handle)
    branch = helper.make_graph([call], "branch", [], [value])
    node = helper.make_node("If", ["condition"], ["given"], then_branch=branch, else_branch=branch)
    model = onnx_model([node], {"condition": np.array(True)}, outputs=["given"])
    model.opset_import.append(helper.make_opsetid("isthmus", 1))
    assert run(splice(model)).tolist() == [[5, 10, 15], [0.5, 1, 1.5]]


def test_a_graph_without_calls_stays_as_it_is(onnx_classifier: Build) -> None:
    assert splice(onnx_classifier()) == onnx_classifier()


def test_a_module_around_the_operator_is_exported_and_spliced_and_computes_the_same(onnx_classifier: Build) -> None:
    network = opened(onnx_classifier(), {"logits": (3,), "features": (4,)})
    handle = register_network(network)

    class Around(nn.Module):
        def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
            logits, features = torch.ops.isthmus.onnx_network(images, handle)
            others, _ = torch.ops.isthmus.onnx_network(1 - images, handle)
            return logits - others, features.amax(1, keepdim=True)

    example = (torch.rand(3, 1, 2, 2),)
    shapes = ({0: torch.export.Dim("batch", min=1, max=64)},)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.export.export(Around(), example, dynamic_shapes=shapes, strict=False)
        program = torch.onnx.export(
            traced,
            dynamo=True,
            opset_version=20,
            optimize=False,
            verbose=False,
            custom_translation_table=translations(),
        )
    session = open_session(splice(program.model_proto).SerializeToString(), CPU)
    images = torch.rand(5, 1, 2, 2)
    for ours, theirs in zip(run_session(session, [images], [(3,), (1,)]), Around()(images), strict=True):
        torch.testing.assert_close(ours, theirs)
