"""A model repository of Triton Inference Server around exported graphs.

A model is a folder `NAME` with `config.pbtxt`, the labels by line, and the graph under `1/`. Triton adds the axis of
the images itself, so sizes are those of one image; a value an image has size 1 there, and none in the graph.
"""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detector.files import replace_folder_atomically
from service.errors import InputError

CONFIG_FILE, GRAPH_FILE, LABEL_FILE = "config.pbtxt", "model.onnx", "labels.txt"
VERSION = "1"

QUEUE_MICROSECONDS = 2000
"""How long a request waits for others to be computed with."""

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_FREE = -1


@dataclasses.dataclass(frozen=True, kw_only=True)
class TritonModel:
    """One model of the repository.

    Attributes:
        name: of its folder, and in requests.
        model: the onnx.ModelProto; every input and output has the axis of the images first.
        max_images: of one batch.
        labels: names of the classifier's labels.
        parameters: further facts, by name.
    """

    name: str
    model: Any
    max_images: int
    labels: Sequence[str]
    parameters: Mapping[str, str]


def write_triton_model(repository: Path, model: TritonModel) -> Path:
    """Write a model into a repository, in the place of one of the same name.

    Returns:
        Its folder, which is complete or not there at all.

    Raises:
        InputError: see `check_triton_place`.
    """
    check_triton_place(repository, model.name)
    folder = repository / model.name
    with replace_folder_atomically(folder) as temporary:
        (temporary / CONFIG_FILE).write_text(triton_config(model), encoding="utf-8")
        (temporary / LABEL_FILE).write_text("".join(f"{_line(label)}\n" for label in model.labels), encoding="utf-8")
        (temporary / VERSION).mkdir()
        (temporary / VERSION / GRAPH_FILE).write_bytes(model.model.SerializeToString())
    return folder


def check_triton_place(repository: Path, name: str) -> None:
    """Refuse a name that is none, and a place where something else is.

    Raises:
        InputError: that is so.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"{name!r} cannot be the name of a model in Triton; call the file by A-Z a-z 0-9 . _ -")
    if repository.exists() and not repository.is_dir():
        raise InputError(f"{repository} is a file; name a folder as the model repository")
    folder = repository / name
    if folder.exists() and not (folder / CONFIG_FILE).is_file():
        raise InputError(f"{folder} exists and is no model of Triton's; name another repository, or remove it")


def triton_config(model: TritonModel) -> str:
    """The text of `config.pbtxt`."""
    graph = model.model.graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    sizes = preferred_sizes(model.max_images)
    blocks = [
        f"name: {_quoted(model.name)}",
        'platform: "onnxruntime_onnx"',
        f"max_batch_size: {model.max_images}",
        *(f"input {_tensor(value)}" for value in inputs),
        *(f"output {_tensor(value)}" for value in graph.output),
        f"dynamic_batching {{\n  preferred_batch_size: [{', '.join(map(str, sizes))}]\n"
        f"  max_queue_delay_microseconds: {QUEUE_MICROSECONDS}\n}}",
        "instance_group [\n  {\n    count: 1\n    kind: KIND_AUTO\n  }\n]",
        *(_warm_up(size, inputs) for size in sorted({1, model.max_images})),
        *(_parameter(name, text) for name, text in model.parameters.items()),
        _parameter("labels", json.dumps(list(model.labels), ensure_ascii=False)),
    ]
    return "\n".join(blocks) + "\n"


def preferred_sizes(max_images: int) -> list[int]:
    """The largest batch, and a half and a quarter of it."""
    return sorted({max(1, max_images // 4), max(1, max_images // 2), max_images})


def _tensor(value: Any) -> str:
    sizes = _sizes(value)
    # A tensor without further axes is one value an image, which Triton's own shapes cannot say.
    reshape = "" if sizes else "  reshape { shape: [] }\n"
    return f"{{\n  name: {_quoted(value.name)}\n  data_type: {_type(value)}\n  dims: {sizes or [1]}\n{reshape}}}"


def _warm_up(n_images: int, inputs: Sequence[Any]) -> str:
    """A first batch of zeros, computed before any request, since the first one of each size takes longer."""
    head = f'model_warmup {{\n  name: "{n_images} images"\n  batch_size: {n_images}'
    return "\n".join([head, *(_zeros(value) for value in inputs), "}"])


def _zeros(value: Any) -> str:
    sizes = [1 if size == _FREE else size for size in _sizes(value)] or [1]
    lines = (f"data_type: {_type(value)}", f"dims: {sizes}", "zero_data: true")
    inner = "".join(f"      {line}\n" for line in lines)
    return f"  inputs {{\n    key: {_quoted(value.name)}\n    value {{\n{inner}    }}\n  }}"


def _parameter(name: str, text: str) -> str:
    return f"parameters {{\n  key: {_quoted(name)}\n  value {{ string_value: {_quoted(text)} }}\n}}"


def _sizes(value: Any) -> list[int]:
    """Sizes of one image's part of a tensor."""
    return [axis.dim_value or _FREE for axis in value.type.tensor_type.shape.dim[1:]]


def _type(value: Any) -> str:
    from onnx import TensorProto  # noqa: PLC0415

    names = {
        TensorProto.BOOL: "TYPE_BOOL",
        TensorProto.FLOAT: "TYPE_FP32",
        TensorProto.DOUBLE: "TYPE_FP64",
        TensorProto.FLOAT16: "TYPE_FP16",
        TensorProto.INT64: "TYPE_INT64",
        TensorProto.INT32: "TYPE_INT32",
        TensorProto.UINT8: "TYPE_UINT8",
    }
    return names[value.type.tensor_type.elem_type]


def _quoted(text: str) -> str:
    """A string as the text format of protocol buffers has it: bytes of UTF-8, escaped where they are no letters."""
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\{byte:03o}" for byte in character.encode())


def _line(text: str) -> str:
    return " ".join(text.split())
