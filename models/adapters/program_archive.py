"""Reading .pt2 files, which are anybody's: weights and a graph of torch's own operations are let through, nothing else.

Torch unpickles parts of such an archive, and evaluates expressions and conditions that stand in it as text, so that
whoever wrote the file could have code of theirs run. It is only handed an archive written anew from what was checked.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.export import ExportedProgram
from torch.export.pt2_archive._package import load_pt2

from models.adapters.program_checks import UnsafeProgramError, checked_configuration, checked_graph
from models.archives import read_archive, written_anew
from models.errors import ModelError, one_line

_GRAPH = "models/model.json"
_WEIGHTS, _CONSTANTS = "data/weights/", "data/constants/"
_CONFIGURATIONS = {
    _WEIGHTS: f"{_WEIGHTS}model_weights_config.json",
    _CONSTANTS: f"{_CONSTANTS}model_constants_config.json",
}
_SAMPLES = "data/sample_inputs/model.pt"
_SHORT_TEXTS = ("archive_format", "archive_version", "byteorder", ".data/version")
_SAVE_AGAIN = "save it again with torch.export.save"


def read_program(path: Path) -> tuple[ExportedProgram, str]:
    """Read a program, on the CPU, and the sha256 of its file.

    Raises:
        ModelError: it is missing, damaged, no exported program, or holds what could run code.
    """
    if not path.is_file():
        raise ModelError(f"there is no exported program {path}")
    content = path.read_bytes()
    try:
        archive = _rewritten(_members(content, path), path)
    except UnsafeProgramError as error:
        raise ModelError(f"{path} is not loaded: {error}") from error
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{path} is damaged, or of another version of torch ({one_line(error)})") from error
    try:
        program = load_pt2(archive).exported_programs["model"]
    except Exception as error:
        raise ModelError(f"{path} is damaged, or of another version of torch ({one_line(error)})") from error
    return program, hashlib.sha256(content).hexdigest()


def _members(content: bytes, path: Path) -> Mapping[str, bytes]:
    """Content of every member by its name below the archive's one folder."""
    try:
        archive = read_archive(content, path)
    except ModelError as error:
        raise ModelError(f"{error}; {_SAVE_AGAIN}") from error
    if archive.is_compressed:
        raise ModelError(f"{path} is compressed, which no exported program is; {_SAVE_AGAIN}")
    members = archive.members
    if _GRAPH not in members:
        raise ModelError(f"{path} holds no exported program as torch saves it now; {_SAVE_AGAIN}")
    return members


def _rewritten(members: Mapping[str, bytes], path: Path) -> io.BytesIO:
    written: dict[str, bytes] = {name: members[name] for name in _SHORT_TEXTS if name in members}
    written[_GRAPH] = _as_json(checked_graph(json.loads(members[_GRAPH])))
    # These are pickled, and nothing here depends on them.
    written[_SAMPLES] = b""
    for folder, name in _CONFIGURATIONS.items():
        if name not in members:
            raise ModelError(f"{path} lacks {name}; {_SAVE_AGAIN}")
        configuration = checked_configuration(json.loads(members[name]))
        written[name] = _as_json(configuration)
        written |= {folder + file: members[folder + file] for file in _files(configuration)}
    return written_anew(written, "program")


def _files(configuration: Mapping[str, Any]) -> set[str]:
    return {entry["path_name"] for entry in configuration["config"].values()}


def _as_json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document).encode()
