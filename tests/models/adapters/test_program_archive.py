import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from models.adapters.program_archive import read_program
from models.errors import ModelError

GRAPH = "models/model.json"


class Payload:
    """Makes a folder where it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


def rewritten(
    source: Path, target: Path, members: dict[str, Any] | None = None, compression: int = zipfile.ZIP_STORED
) -> Path:
    """A copy of an archive with some members changed: by bytes, or by a function of what JSON says there."""
    changes = dict(members or {})
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for entry in old.infolist():
            root, _, name = entry.filename.partition("/")
            content = old.read(entry)
            change = changes.pop(name, content)
            if callable(change):
                document = json.loads(content)
                change(document)
                change = json.dumps(document).encode()
            new.writestr(f"{root}/{name}", change)
        for name, added in changes.items():
            new.writestr(f"{root}/{name}", added)
    return target


def pickled(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def test_pickled_sample_images_are_left_alone(digits_program: Path, tmp_path: Path) -> None:
    payload = pickled(((Payload(tmp_path / "made"),), {}))
    path = rewritten(digits_program, tmp_path / "m.pt2", {"data/sample_inputs/model.pt": payload})
    program, _ = read_program(path)
    assert program.module(check_guards=False)(torch.rand(3, 1, 8, 8)).shape == (3, 10)
    assert not (tmp_path / "made").exists()


def test_conditions_written_as_code_are_left_alone(digits_program: Path, tmp_path: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        document["guards_code"] = [f"__import__('os').mkdir({str(tmp_path / 'made')!r})"]

    program, _ = read_program(rewritten(digits_program, tmp_path / "m.pt2", {GRAPH: change}))
    program.module()(torch.rand(3, 1, 8, 8))
    assert not (tmp_path / "made").exists()


def set_size(document: dict[str, Any]) -> None:
    sizes = document["graph_module"]["graph"]["tensor_values"]["linear"]["sizes"]
    sizes[0]["as_expr"]["expr_str"] = "__import__('os').mkdir('made')"


def set_target(document: dict[str, Any]) -> None:
    document["graph_module"]["graph"]["nodes"][0]["target"] = "torch.os.mkdir"


def set_container(document: dict[str, Any]) -> None:
    signature = document["graph_module"]["module_call_graph"][0]["signature"]
    signature["out_spec"] = signature["out_spec"].replace("null", '"antigravity.Class"', 1)


def set_parameter(document: dict[str, Any]) -> None:
    document["graph_module"]["signature"]["input_specs"][0]["parameter"]["parameter_name"] = 'a"), exit(), ("'


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_size, "the size .* is more than arithmetic"),
        (set_target, "it calls 'torch.os.mkdir', which is not one of torch's operations"),
        (set_container, "a container other than tuples, lists and dicts"),
        (set_parameter, "is not a name as torch writes them"),
    ],
)
def test_a_graph_that_could_run_code_is_refused(
    digits_program: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    path = rewritten(digits_program, tmp_path / "m.pt2", {GRAPH: change})
    with pytest.raises(ModelError, match=f"m.pt2 is not loaded: .*{message}"):
        read_program(path)


def test_pickled_weights_are_refused(digits_program: Path, tmp_path: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        document["config"]["head.bias"]["use_pickle"] = True

    path = rewritten(digits_program, tmp_path / "m.pt2", {"data/weights/model_weights_config.json": change})
    with pytest.raises(ModelError, match=r"it holds a pickled object \('weight_\d+'\), which could run code"):
        read_program(path)


@pytest.mark.parametrize("kind", ["opaque_obj_0", "custom_obj_0"])
def test_objects_among_the_constants_are_refused(digits_program: Path, tmp_path: Path, kind: str) -> None:
    entry = {"path_name": kind, "is_param": False, "use_pickle": False, "tensor_meta": None}
    members: dict[str, Any] = {
        "data/constants/model_constants_config.json": json.dumps({"config": {"thing": entry}}).encode(),
        f"data/constants/{kind}": pickle.dumps(Payload(tmp_path / "made")),
    }
    with pytest.raises(ModelError, match=f"it holds a pickled object \\('{kind}'\\)"):
        read_program(rewritten(digits_program, tmp_path / "m.pt2", members))
    assert not (tmp_path / "made").exists()


def test_what_else_lies_in_the_archive_is_left_there(digits_program: Path, tmp_path: Path) -> None:
    members = {"data/aotinductor/model/run.so": b"machine code", "data/weights/model.pt": pickled({})}
    program, _ = read_program(rewritten(digits_program, tmp_path / "m.pt2", members))
    assert program.module(check_guards=False)(torch.rand(1, 1, 8, 8)).shape == (1, 10)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no exported program .*absent.pt2"):
        read_program(tmp_path / "absent.pt2")


@pytest.mark.parametrize("content", [b"", b"nonsense", pickled({"weight": torch.zeros(2)})])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.pt2").write_bytes(content)
    with pytest.raises(ModelError, match=r"m.pt2 .*save it again with torch.export.save"):
        read_program(tmp_path / "m.pt2")


def test_a_damaged_file_is_refused(digits_program: Path, tmp_path: Path) -> None:
    (tmp_path / "m.pt2").write_bytes(digits_program.read_bytes()[:20_000])
    with pytest.raises(ModelError, match=r"m.pt2 is damaged, encrypted, or no such archive .*; save it again"):
        read_program(tmp_path / "m.pt2")
    with pytest.raises(ModelError, match=r"m.pt2 is damaged, or of another version of torch"):
        read_program(rewritten(digits_program, tmp_path / "m.pt2", {GRAPH: b"{}"}))
    with pytest.raises(ModelError, match=r"m.pt2 is damaged, or of another version of torch"):
        read_program(rewritten(digits_program, tmp_path / "m.pt2", {"data/weights/weight_0": b"1234"}))


def test_members_of_one_name_are_refused(digits_program: Path, tmp_path: Path) -> None:
    path = rewritten(digits_program, tmp_path / "m.pt2", {"Models/model.json": b"{}"})
    with pytest.raises(ModelError, match=r"it holds 'Models/model.json' twice, but for upper and lower case"):
        read_program(path)


def test_a_compressed_archive_is_refused(digits_program: Path, tmp_path: Path) -> None:
    path = rewritten(digits_program, tmp_path / "m.pt2", compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelError, match="is compressed, which no exported program is"):
        read_program(path)
