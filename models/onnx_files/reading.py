"""Reading ONNX files, which are anybody's: bounded in size, and no other file is opened than those beside them."""

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from models.errors import ModelError, one_line
from models.onnx_files.packages import require_onnx
from models.onnx_files.walks import all_nodes, all_tensors

MOST_BYTES = 2**31 - 2**20
"""Of a graph and its weights together: protobuf, in which they are handed on, ends at 2 GiB."""
MOST_NODES = 500_000

_INLINE, _EXTERNAL = 0, 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnnxFile:
    """A file as read.

    Attributes:
        path: where it lay.
        model: the onnx.ModelProto, with all weights in it and its own functions written out.
        digest: sha256 of the file; of it and of the files with its weights, in order of their names, if there are any.
    """

    path: Path
    model: Any
    digest: str


def read_onnx(path: Path) -> OnnxFile:
    """Read a graph with its weights.

    Raises:
        ModelError: the packages are missing; the file is, or is damaged or too large; its weights lie elsewhere than
            in files beside it.
    """
    require_onnx()
    import onnx  # noqa: PLC0415

    if not path.is_file():
        raise ModelError(f"there is no ONNX file {path}")
    _check_size(path.stat().st_size, path)
    content = path.read_bytes()
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as error:
        raise ModelError(f"{path} is not an ONNX file, or damaged ({one_line(error)})") from error
    if not model.graph.node:
        raise ModelError(f"{path} holds no graph; it is empty, damaged or no ONNX file")
    digest = hashlib.sha256(content)
    for part in _load_external(model, path, len(content)):
        digest.update(part)
    return OnnxFile(path=path, model=_with_functions_written_out(model, path), digest=digest.hexdigest())


def _check_size(n_bytes: int, path: Path) -> None:
    if n_bytes > MOST_BYTES:
        raise ModelError(f"{path} and its weights have {n_bytes / 2**30:.1f} GiB; ONNX graphs of up to 2 GiB are taken")


def _load_external(model: Any, path: Path, n_bytes: int) -> list[bytes]:
    """Put weights from other files into the model; the files' contents, in order of their names."""
    tensors = [tensor for tensor in all_tensors(model) if tensor.data_location == _EXTERNAL]
    entries = [{entry.key: entry.value for entry in tensor.external_data} for tensor in tensors]
    files = {name: _file_beside(path, name) for name in sorted({entry.get("location", "") for entry in entries})}
    _check_size(n_bytes + sum(file.stat().st_size for file in files.values()), path)
    contents = {name: file.read_bytes() for name, file in files.items()}
    total = n_bytes
    for tensor, entry in zip(tensors, entries, strict=True):
        raw = _part(contents[entry["location"]], entry, path)
        # Many tensors may name one part of a file.
        total += len(raw)
        _check_size(total, path)
        tensor.raw_data = raw
        tensor.data_location = _INLINE
        del tensor.external_data[:]
    return list(contents.values())


def _file_beside(path: Path, location: str) -> Path:
    parts = {*PurePosixPath(location).parts, *PureWindowsPath(location).parts}
    is_inside = location and ".." not in parts and not PurePosixPath(location).is_absolute()
    if not is_inside or PureWindowsPath(location).drive or PureWindowsPath(location).root:
        raise ModelError(f"{path} takes weights from {location!r}; only files beside the graph are read")
    file = path.parent / location
    steps = [file, *file.parents][: len(PurePosixPath(location).parts)]
    if any(step.is_symlink() for step in steps):
        raise ModelError(
            f"{path} takes weights from {location!r}, which is a link; put the file itself beside the graph"
        )
    if not file.is_file():
        raise ModelError(f"{path} takes weights from {location!r}, which does not lie beside it; put it there")
    return file


def _part(content: bytes, entry: Mapping[str, str], path: Path) -> bytes:
    try:
        start = int(entry.get("offset", 0))
        end = start + int(entry["length"]) if "length" in entry else len(content)
    except ValueError as error:
        raise ModelError(f"{path} is damaged: it names no place in the file of its weights") from error
    if not 0 <= start <= end <= len(content):
        raise ModelError(
            f"{path} takes bytes {start} to {end} of {entry['location']!r}, which has {len(content)}; "
            "is it of this graph?"
        )
    return content[start:end]


def _with_functions_written_out(model: Any, path: Path) -> Any:
    functions = {(function.domain, function.name): function for function in model.functions}
    sizes: dict[tuple[str, str], float] = {}

    def size(nodes: Any) -> float:
        return sum((function_size((node.domain, node.op_type)) for node in all_nodes(nodes)), start=0.0)

    def function_size(name: tuple[str, str]) -> float:
        if name not in functions:
            return 1.0
        if name not in sizes:
            # One that calls itself has no end.
            sizes[name] = float("inf")
            sizes[name] = size(functions[name].node)
        return sizes[name]

    try:
        n_nodes = size(model.graph.node)
    except RecursionError as error:
        raise ModelError(f"{path} nests its functions too deeply; write them out before") from error
    if n_nodes > MOST_NODES:
        raise ModelError(
            f"{path} has {n_nodes:.3g} nodes once its functions are written out; at most {MOST_NODES} are taken"
        )
    if not functions:
        return model
    import onnx.inliner  # noqa: PLC0415

    return onnx.inliner.inline_local_functions(model)
