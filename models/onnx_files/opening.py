"""From an ONNX file to a graph that serves as a classifier: checked, cut to what is wanted, in float32."""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.errors import ModelError
from models.onnx_files.graphs import check_graph, logits_name
from models.onnx_files.layers import default_representations
from models.onnx_files.outputs import in_float32, with_outputs
from models.onnx_files.probing import see_tensors
from models.onnx_files.reading import read_onnx


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierGraph:
    """A classifier's graph: normalised images (image, channel, height, width) to logits, then representations.

    Attributes:
        model: the onnx.ModelProto; its one input and its outputs are float32 with a free axis of images first.
        logits: name of the tensor in the file that holds them.
        representations: names of the tensors in the file, in the order of the outputs.
        output_shapes: of the logits and of each representation, for one image.
        digest: sha256 of the file with its weights, and of the name of the logits unless they are its only output.
    """

    model: Any
    logits: str
    representations: tuple[str, ...]
    output_shapes: tuple[tuple[int, ...], ...]
    digest: str


def open_classifier_graph(
    path: Path, *, logits: str | None, representations: Sequence[str] | None, input_shape: tuple[int, int, int]
) -> ClassifierGraph:
    """Read a file, check that it holds a classifier, and cut it to the outputs that are wanted.

    Args:
        path: of the file.
        logits: name of the tensor that holds them, unless it is the graph's only output.
        representations: names of tensors within the graph; found by running it if not given.
        input_shape: (channel, height, width).

    Raises:
        ModelError: the file is not a classifier that can be used; the message says why and what to do.
    """
    file = read_onnx(path)
    check_graph(file.model, input_shape)
    name = logits_name(file.model, logits)
    named = tuple(representations or default_representations(file.model, name, input_shape))
    twice = [other for index, other in enumerate(named) if other == name or other in named[:index]]
    if twice:
        raise ModelError(f"the tensor {twice[0]!r} is named twice among logits and representations; name each once")
    wanted = (name, *named)
    seen = see_tensors(file.model, wanted, input_shape)
    for tensor in wanted:
        if tensor not in seen:
            raise ModelError(
                f"the tensor {tensor!r} has no row of floating-point numbers an image, and so is of no use as "
                f"{'logits' if tensor == name else 'a representation'}; name another one"
            )
    model = in_float32(with_outputs(file.model, wanted), [seen[tensor].type for tensor in wanted])
    _fill_in_types(model, input_shape, [seen[tensor].shape for tensor in wanted])
    is_only_output = [value.name for value in file.model.graph.output] == [name]
    return ClassifierGraph(
        model=model,
        logits=name,
        representations=named,
        output_shapes=tuple(seen[tensor].shape for tensor in wanted),
        digest=file.digest if is_only_output else hashlib.sha256(f"{file.digest} {name}".encode()).hexdigest(),
    )


def _fill_in_types(model: Any, input_shape: tuple[int, ...], output_shapes: Sequence[tuple[int, ...]]) -> None:
    from onnx import TensorProto, helper  # noqa: PLC0415

    values = [*model.graph.input, *model.graph.output]
    batch = values[0].type.tensor_type.shape.dim[0].dim_param or "batch"
    for value, shape in zip(values, (input_shape, *output_shapes), strict=True):
        value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.FLOAT, [batch, *shape]))
