"""Which tensors of an ONNX graph describe an image well, when nobody has said so."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from models.errors import ModelError
from models.onnx_files.outputs import needed_nodes
from models.onnx_files.probing import Seen, see_tensors
from models.representations import MOST_STAGES

_Shapes = dict[str, tuple[int, ...]]

# What they give was made by what comes before them, which has the better name.
_PASSES_ON = frozenset({"Identity", "Dropout", "Cast", "Constant", "Pad"})
_MIXES_TOKENS = frozenset({"MatMul", "Einsum", "Softmax"})


def default_representations(model: Any, logits: str, input_shape: tuple[int, int, int]) -> tuple[str, ...]:
    """Name the last tensor at each of the last few resolutions, and the features that the head takes.

    Found by running the graph. The head is the run of tensors at the end with as many channels as there are logits.
    A graph without several resolutions, like a vision transformer's, is divided evenly by depth.

    Args:
        model: an onnx.ModelProto.
        logits: name of the tensor that holds them.
        input_shape: (channel, height, width).

    Raises:
        ModelError: no tensor but the logits describes an image.
    """
    nodes = needed_nodes(model.graph, [logits])
    names = [name for node in nodes if node.op_type not in _PASSES_ON for name in node.output if name]
    seen = see_tensors(model, names, input_shape)
    if logits not in seen:
        seen |= see_tensors(model, [logits], input_shape)
    shapes = _without_head({name: tensor.shape for name, tensor in seen.items()}, seen, logits)
    stages = _last_of_each_resolution(nodes, shapes, input_shape[1] / input_shape[2])
    if len(stages) < MOST_STAGES - 1:
        stages = _evenly_spaced_sums(nodes, shapes) or stages
    features = [name for name, shape in shapes.items() if shape[1:] in ((), (1, 1))]
    chosen = {*stages[-MOST_STAGES:], *features[-1:]}
    if not chosen:
        raise ModelError("the graph has no tensor to take representations from; name some under representations")
    return tuple(name for name in shapes if name in chosen)


def _without_head(shapes: _Shapes, seen: Mapping[str, Seen], logits: str) -> _Shapes:
    if logits not in seen:
        raise ModelError(f'the tensor {logits!r} has no row of logits an image; name another one: logits = "…"')
    names = list(shapes)
    while names and shapes[names[-1]][:1] == seen[logits].shape[:1]:
        names.pop()
    return {name: shapes[name] for name in names}


def _last_of_each_resolution(nodes: list[Any], shapes: _Shapes, aspect: float) -> list[str]:
    attention = _attention_maps(nodes, shapes)
    last: dict[tuple[int, ...], str] = {}
    for name, shape in shapes.items():
        resolution = shape[1:]
        if len(resolution) != 2 or resolution == (1, 1) or name in attention:
            continue
        # Some networks work on (height, width, channel) within their blocks.
        if abs(resolution[0] - resolution[1] * aspect) <= 1:
            last[resolution] = name
    return [name for name in shapes if name in last.values()]


def _attention_maps(nodes: list[Any], shapes: _Shapes) -> set[str]:
    """Tensors (image, head, token, token), which are no maps of the image though they may be square."""
    maps: set[str] = set()
    for node in nodes:
        shape = shapes.get(node.output[0])
        follows = any(name in maps and shapes.get(name) == shape for name in node.input)
        if shape is not None and len(shape) == 3 and (node.op_type in _MIXES_TOKENS or follows):
            maps.add(node.output[0])
    return maps


def _evenly_spaced_sums(nodes: list[Any], shapes: _Shapes) -> list[str]:
    """Divide the tensors after which a transformer's blocks rejoin its stream of (image, token, feature)."""
    sums = [node.output[0] for node in nodes if node.op_type == "Add" and _adds_alike(node, shapes)]
    commonest = Counter(shapes[name] for name in sums).most_common(1)
    stream = [name for name in sums if shapes[name] == commonest[0][0]]
    if len(stream) < MOST_STAGES:
        return []
    return [stream[len(stream) * (part + 1) // MOST_STAGES - 1] for part in range(MOST_STAGES)]


def _adds_alike(node: Any, shapes: _Shapes) -> bool:
    shape = shapes.get(node.output[0])
    # A bias that is added is a weight, of another shape.
    return shape is not None and len(shape) == 2 and all(shapes.get(name) == shape for name in node.input)
