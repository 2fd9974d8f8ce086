import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from models.errors import ModelError
from models.onnx_files import reading
from models.onnx_files.reading import read_onnx

Build = Callable[..., Any]
Save = Callable[[Any], Path]


def with_weights_at(model: Any, location: str, length: int | None = None, offset: int = 0) -> Any:
    """The classifier of the tests, with its weight said to lie in another file."""
    weight = model.graph.initializer[0]
    external_data_helper.set_external_data(weight, location, offset, length)
    weight.ClearField("raw_data")
    return model


def test_the_digest_is_that_of_the_file(onnx_classifier: Build, saved_onnx: Save) -> None:
    path = saved_onnx(onnx_classifier())
    read = read_onnx(path)
    assert read.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [node.op_type for node in read.model.graph.node] == ["Add", "Flatten", "MatMul"]


def test_weights_beside_the_graph_are_read_and_are_part_of_the_digest(
    onnx_classifier: Build, saved_onnx: Save, tmp_path: Path
) -> None:
    weights = np.arange(12, dtype=np.float32)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "weights.bin").write_bytes(b"head" + weights.tobytes())
    path = saved_onnx(with_weights_at(onnx_classifier(), "parts/weights.bin", weights.nbytes, 4))
    read = read_onnx(path)
    assert numpy_helper.to_array(read.model.graph.initializer[0]).ravel().tolist() == list(range(12))
    (tmp_path / "parts" / "weights.bin").write_bytes(b"tail" + weights.tobytes())
    assert read_onnx(path).digest != read.digest


@pytest.mark.parametrize("location", ["../secret.bin", "parts/../../secret.bin", "..\\secret.bin", "C:secret.bin", ""])
def test_weights_elsewhere_are_not_read(location: str, onnx_classifier: Build, tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(b"\0" * 48)
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / "model.onnx"
    path.write_bytes(with_weights_at(onnx_classifier(), location).SerializeToString())
    with pytest.raises(ModelError, match="only files beside the graph are read"):
        read_onnx(path)


def test_an_absolute_place_of_weights_is_not_read(onnx_classifier: Build, saved_onnx: Save, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"\0" * 48)
    path = saved_onnx(with_weights_at(onnx_classifier(), str(tmp_path / "weights.bin")))
    with pytest.raises(ModelError, match="only files beside the graph are read"):
        read_onnx(path)


@pytest.mark.parametrize("location", ["link.bin", "folder/weights.bin"])
def test_no_link_is_followed_to_weights(
    location: str, onnx_classifier: Build, saved_onnx: Save, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "weights.bin").write_bytes(b"\0" * 48)
    (tmp_path / "link.bin").symlink_to(elsewhere / "weights.bin")
    (tmp_path / "folder").symlink_to(elsewhere)
    with pytest.raises(ModelError, match="is a link"):
        read_onnx(saved_onnx(with_weights_at(onnx_classifier(), location)))


def test_weights_within_a_constant_of_a_branch_are_looked_at_too(onnx_model: Build, saved_onnx: Save) -> None:
    hidden = numpy_helper.from_array(np.zeros(12, np.float32))
    external_data_helper.set_external_data(hidden, "../secret.bin")
    hidden.ClearField("raw_data")
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, [12])
    branch = helper.make_graph([helper.make_node("Constant", [], ["y"], value=hidden)], "branch", [], [value])
    node = helper.make_node("If", ["condition"], ["logits"], then_branch=branch, else_branch=branch)
    with pytest.raises(ModelError, match="secret"):
        read_onnx(saved_onnx(onnx_model([node], {"condition": np.array(True)})))


def test_weights_that_are_missing_or_too_few_are_told(onnx_classifier: Build, saved_onnx: Save, tmp_path: Path) -> None:
    path = saved_onnx(with_weights_at(onnx_classifier(), "weights.bin", 48))
    with pytest.raises(ModelError, match=r"'weights.bin', which does not lie beside it"):
        read_onnx(path)
    (tmp_path / "weights.bin").write_bytes(b"\0" * 40)
    with pytest.raises(ModelError, match=r"bytes 0 to 48 of 'weights.bin', which has 40"):
        read_onnx(path)


def test_many_weights_that_name_one_part_of_a_file_fill_no_memory(
    onnx_classifier: Build, saved_onnx: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights.bin").write_bytes(b"\0" * 1000)
    model = onnx_classifier()
    for _ in range(20):
        model.graph.initializer.append(model.graph.initializer[0])
    for tensor in model.graph.initializer:
        external_data_helper.set_external_data(tensor, "weights.bin")
    monkeypatch.setattr(reading, "MOST_BYTES", 10_000)
    with pytest.raises(ModelError, match="up to 2 GiB are taken"):
        read_onnx(saved_onnx(model))


@pytest.mark.parametrize("content", [b"", b"\0\1\2\3", b"PK\3\4 no graph", b"<html>"])
def test_what_is_no_graph_is_told(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.onnx (is not an ONNX file|holds no graph)"):
        read_onnx(path)
    with pytest.raises(ModelError, match="there is no ONNX file"):
        read_onnx(tmp_path / "missing.onnx")


def with_functions(model: Any, bodies: list[list[str]]) -> Any:
    """Functions f0, f1, … each of which calls others by name, and a model that calls the first."""
    for index, body in enumerate(bodies):
        nodes = [
            helper.make_node(name, ["x"], ["y" if last else "x2"], domain="own" if name != "Neg" else "")
            for name, last in zip(body, [False] * (len(body) - 1) + [True], strict=True)
        ]
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
        model.functions.append(helper.make_function("own", f"f{index}", ["x"], ["y"], nodes, opsets))
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.graph.node[0].CopyFrom(helper.make_node("f0", ["images"], ["doubled"], domain="own"))
    return model


def test_functions_are_written_out(onnx_classifier: Build, saved_onnx: Save) -> None:
    read = read_onnx(saved_onnx(with_functions(onnx_classifier(), [["f1"], ["Neg"]])))
    assert [node.op_type for node in read.model.graph.node] == ["Neg", "Flatten", "MatMul"]


@pytest.mark.parametrize(
    "bodies",
    [[["f1"], ["f0"]], [*([f"f{n + 1}", f"f{n + 1}"] for n in range(60)), ["Neg"]]],
    ids=["a circle", "each calls the next twice"],
)
def test_functions_that_grow_without_end_are_refused(
    bodies: list[list[str]], onnx_classifier: Build, saved_onnx: Save
) -> None:
    with pytest.raises(ModelError, match="once its functions are written out"):
        read_onnx(saved_onnx(with_functions(onnx_classifier(), bodies)))
