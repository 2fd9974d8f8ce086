"""What a graph must be to serve as a classifier: one input of images, a free batch axis, logits, and no training."""

import difflib
from collections.abc import Sequence
from typing import Any

from models.errors import ModelError
from models.onnx_files.sessions import newest_opset
from models.onnx_files.walks import all_nodes, constant_value, opset, producers

FIRST_OPSET = 7
"""ONNX Runtime promises no older one, and before it whether a graph trains was no part of it."""

_FLOATS = frozenset({1, 10, 11})
"""Of onnx.TensorProto.DataType: FLOAT, FLOAT16, DOUBLE."""
_PASSES_ON = frozenset({"Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Dropout"})
_MAKES_PROBABILITIES = frozenset({"Softmax", "Sigmoid", "Hardmax"})
_MAKES_LABELS = frozenset({"ArgMax", "TopK"})
_MAKES_NOISE = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
)
_NAMES_FILES = "EPContext"
_TELLS, _COMPARED = 3, 2_000


def check_graph(model: Any, input_shape: tuple[int, int, int]) -> None:
    """Refuse graphs that cannot serve as classifiers of images.

    Args:
        model: an onnx.ModelProto.
        input_shape: (channel, height, width) that the spec gives.

    Raises:
        ModelError: opset too new or too old; not one input, or not of images in that shape; a fixed batch axis; a
            graph in training mode.
    """
    check_runnable(model)
    _check_images(image_input(model), input_shape)


def check_runnable(model: Any) -> None:
    """Refuse graphs that ONNX Runtime does not know, or that do more than compute one answer of their inputs.

    Raises:
        ModelError: opset too new or too old; a graph in training mode, one that draws random numbers, or one that
            names files.
    """
    version, newest = opset(model), newest_opset()
    if version > newest:
        raise ModelError(
            f"the graph is of opset {version}, the ONNX Runtime installed knows opsets up to {newest}; update "
            f"onnxruntime-gpu, or export with opset_version={newest}"
        )
    if version < FIRST_OPSET:
        raise ModelError(f"the graph is of opset {version}; opsets from {FIRST_OPSET} on are taken: export it anew")
    _check_inference(model)


def image_input(model: Any) -> Any:
    """The onnx.ValueInfoProto of the one input that is no weight.

    Raises:
        ModelError: there is none, or more than one.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise ModelError(f"the graph has {len(inputs)} inputs ({names}); a classifier takes one, a batch of images")
    return inputs[0]


def _check_images(value: Any, input_shape: tuple[int, int, int]) -> None:
    if value.type.tensor_type.elem_type not in _FLOATS:
        raise ModelError(
            f"the input {value.name!r} takes no float32, float16 or float64; export the graph for normalised images as "
            "float32"
        )
    sizes = input_sizes(value)
    if len(sizes) != 4:
        raise ModelError(
            f"the input {value.name!r} has {len(sizes)} axes; a classifier takes (image, channel, height, width)"
        )
    if sizes[0] is not None:
        raise ModelError(
            f"the batch axis of the input {value.name!r} is fixed at {sizes[0]}; export the network with a free one: "
            f"torch.onnx.export(…, dynamic_shapes=({{0: torch.export.Dim('batch')}},)), or with dynamo=False "
            f"dynamic_axes={{'{value.name}': {{0: 'batch'}}}}"
        )
    if _fits(sizes[1:], input_shape):
        return
    channel, height, width = input_shape
    if _fits(sizes[1:], (height, width, channel)):
        raise ModelError(
            f"the input {value.name!r} takes images as (height, width, channel) {_shown(sizes[1:])}; export the graph "
            "with channels first (tf2onnx: --inputs-as-nchw)"
        )
    raise ModelError(
        f"the input {value.name!r} takes images of shape {_shown(sizes[1:])} (channel, height, width), the spec says "
        f"{input_shape}; correct channels and input_size"
    )


def input_sizes(value: Any) -> list[int | None]:
    """Sizes of a value's axes, None where they are free."""
    return [axis.dim_value or None for axis in value.type.tensor_type.shape.dim]


def _fits(sizes: Sequence[int | None], shape: tuple[int, ...]) -> bool:
    return all(size is None or size == wanted for size, wanted in zip(sizes, shape, strict=True))


def _shown(sizes: Sequence[int | None]) -> str:
    return f"({', '.join('free' if size is None else str(size) for size in sizes)})"


def _check_inference(model: Any) -> None:
    for node in all_nodes(model.graph.node):
        if node.op_type in _MAKES_NOISE:
            raise ModelError(
                f"the graph draws random numbers ({node.op_type}); export the network after network.eval()"
            )
        if node.op_type == _NAMES_FILES:
            raise ModelError("the graph was compiled for one machine, and names files of its own; export it anew")
        if _trains(node, model):
            raise ModelError(
                f"the graph is in training mode ({node.op_type} {node.name or node.output[0]!r} trains); export the "
                "network after network.eval()"
            )


def _trains(node: Any, model: Any) -> bool:
    if node.op_type == "BatchNormalization":
        mode = next((attribute.i for attribute in node.attribute if attribute.name == "training_mode"), 0)
        return bool(mode) or sum(map(bool, node.output)) > 1
    if node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]:
        mode = constant_value(model.graph, node.input[2])
        # What is only known while it runs may turn out either way.
        return mode is None or bool(mode)
    return False


def logits_name(model: Any, named: str | None) -> str:
    """Name of the tensor that holds the logits: the one that is named, or else the graph's only output.

    Raises:
        ModelError: no such tensor; several outputs of which none is named; or probabilities or labels for an output,
            for which the message names the tensor to take instead.
    """
    made = producers(model.graph)
    if named is not None:
        if named not in made:
            raise ModelError(f"the graph has no tensor {named!r} to take as logits; {near_names(named, list(made))}")
        return named
    outputs: list[str] = [value.name for value in model.graph.output]
    if len(outputs) != 1:
        raise ModelError(f'the graph has {len(outputs)} outputs ({", ".join(outputs[:9])}); name one: logits = "…"')
    node, before = _last_that_computes(outputs[0], made)
    if node is not None and node.op_type in _MAKES_PROBABILITIES:
        raise ModelError(
            f"the graph ends in {node.op_type}: its output {outputs[0]!r} holds probabilities, no logits; name the "
            f'tensor before it in the spec: logits = "{before}"'
        )
    if node is not None and node.op_type in _MAKES_LABELS:
        raise ModelError(
            f"the graph ends in {node.op_type}: its output {outputs[0]!r} holds labels, no logits; name the tensor "
            f'that it takes, or one further up, in the spec: logits = "{before}"'
        )
    return outputs[0]


def _last_that_computes(name: str, made: dict[str, Any]) -> tuple[Any, str]:
    """The last node before a tensor that does more than pass values on, and what it takes."""
    seen: set[str] = set()
    node = made.get(name)
    # A damaged graph may run in a circle.
    while node is not None and node.input and node.op_type in _PASSES_ON and name not in seen:
        seen.add(name)
        name = node.input[0]
        node = made.get(name)
    return node, node.input[0] if node is not None and node.input else ""


def near_names(name: str, names: Sequence[str]) -> str:
    """Some names like one that does not exist, for a message."""
    # Comparing takes long, and late tensors are the likelier ones to be meant.
    close = difflib.get_close_matches(name, names[-_COMPARED:], n=_TELLS, cutoff=0.4)
    within = [other for other in names if name in other][:_TELLS]
    shown = list(dict.fromkeys([*within, *close]))[:_TELLS] or list(names)[-_TELLS:]
    return f"near it are {', '.join(repr(other) for other in shown)}"
