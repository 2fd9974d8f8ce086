from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from onnx import helper

from models.onnx_files.opening import open_classifier_graph
from models.spec import load_spec

SPEC = """
name = "m"
model = "model.onnx"
labels = ["a", "b", "c"]
input_size = [2, 2]
channels = 1
mean = [0.0]
std = [1.0]
representations = ["features"]
runtime = "onnxruntime"
"""


def digest(path: Path, logits: str | None) -> str:
    return open_classifier_graph(path, logits=logits, representations=["doubled"], input_shape=(1, 2, 2)).digest


def test_naming_the_only_output_names_no_other_classifier(
    onnx_classifier: Callable[..., Any], saved_onnx: Callable[[Any], Path]
) -> None:
    path = saved_onnx(onnx_classifier())
    assert digest(path, "logits") == digest(path, None)
    assert digest(path, "features") != digest(path, None)
    digests = []
    for extra in ("", 'logits = "logits"'):
        (path.parent / "SPEC.toml").write_text(SPEC + extra)
        digests.append(load_spec(path.parent / "SPEC.toml").classifier.digest())
    assert digests[0] == digests[1]


@pytest.mark.parametrize("logits", ["logits", "features"])
def test_of_several_outputs_the_one_that_is_taken_is_part_of_the_digest(
    onnx_classifier: Callable[..., Any], saved_onnx: Callable[[Any], Path], logits: str
) -> None:
    model = onnx_classifier()
    model.graph.output.append(helper.make_empty_tensor_value_info("features"))
    path = saved_onnx(model)
    other = {"logits": "features", "features": "logits"}[logits]
    assert digest(path, logits) != digest(path, other)
