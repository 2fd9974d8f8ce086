"""How each operation that takes shapes or axes as tensors is written with attributes instead."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from models.onnx_files.torch_operations import REDUCTIONS

Attributes = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operation:
    """A node, and what is known of it before it runs.

    Attributes:
        node: an onnx.NodeProto.
        given: its attributes.
        weights: numpy arrays by name, constants among them.
        one, several: shape of its first output for one image, and for three.
    """

    node: Any
    given: Mapping[str, Any]
    weights: Mapping[str, Any]
    one: tuple[int, ...]
    several: tuple[int, ...]

    def has(self, index: int) -> bool:
        return len(self.node.input) > index and bool(self.node.input[index])

    def is_known(self, *indices: int) -> bool:
        """Whether those of the inputs that are there are constant."""
        return all(not self.has(index) or self.node.input[index] in self.weights for index in indices)

    def integers(self, index: int) -> list[int]:
        return [int(value) for value in np.ravel(self.weights[self.node.input[index]])] if self.has(index) else []

    def number(self, index: int) -> float | None:
        return float(np.ravel(self.weights[self.node.input[index]])[0]) if self.has(index) else None


def rewrite(operation: Operation) -> Attributes | None:
    """Attributes that say all, without those that are empty; None if some is known only while it runs."""
    attributes = REWRITERS[operation.node.op_type](operation)
    if attributes is None:
        return None
    return {name: value for name, value in attributes.items() if value is not None and value != []}


def _reshape(operation: Operation) -> Attributes | None:
    free = [one != several for one, several in zip(operation.one, operation.several, strict=True)]
    if sum(free) > 1 or (0 in operation.one):
        return None
    return {"shape": [-1 if is_free else size for is_free, size in zip(free, operation.one, strict=True)]}


def _expand(operation: Operation) -> Attributes | None:
    one, several = operation.one, operation.several
    if not one or one[1:] != several[1:] or one[0] * 3 != several[0]:
        return None
    return {"per_image": one[0], "shape": list(one[1:])}


def _slice(operation: Operation) -> Attributes | None:
    if not operation.is_known(1, 2, 3, 4):
        return None
    starts = operation.integers(1)
    steps = operation.integers(4) or [1] * len(starts)
    axes = operation.integers(3) or list(range(len(starts)))
    return {"starts": starts, "stops": operation.integers(2), "axes": axes, "steps": steps}


def _axes(operation: Operation) -> Attributes | None:
    axes = list(operation.given.get("axes", [])) or (operation.integers(1) if operation.is_known(1) else [])
    return {"axes": axes} if axes else None


def _pad(operation: Operation) -> Attributes | None:
    is_constant = operation.given.get("mode", b"constant") == b"constant"
    if not is_constant or not operation.has(1) or not operation.is_known(1, 2, 3):
        return None
    given, n_axes = operation.integers(1), len(operation.one)
    axes = operation.integers(3) or list(range(n_axes))
    pads = [0] * (2 * n_axes)
    for index, axis in enumerate(axes):
        for end in (0, 1):
            pads[axis % n_axes + end * n_axes] = given[index + end * len(axes)]
    return {"pads": pads, "value": operation.number(2) or 0.0}


def _split(operation: Operation) -> Attributes | None:
    if len(operation.node.output) < 2 or not operation.is_known(1):
        return None
    sizes = list(operation.given.get("split", [])) or operation.integers(1)
    return {"axis": operation.given.get("axis", 0), "sizes": sizes, "n_parts": len(operation.node.output)}


def _reduce(operation: Operation) -> Attributes | None:
    if not operation.is_known(1):
        return None
    axes = list(operation.given.get("axes", [])) or operation.integers(1)
    if not axes and operation.given.get("noop_with_empty_axes", 0):
        return None
    return {"axes": axes, "keepdims": operation.given.get("keepdims", 1)}


def _layer_normalization(operation: Operation) -> Attributes | None:
    if sum(map(bool, operation.node.output)) > 1:
        return None
    return {"axis": operation.given.get("axis", -1), "epsilon": operation.given.get("epsilon", 1e-5)}


def _clip(operation: Operation) -> Attributes | None:
    if not operation.is_known(1, 2):
        return None
    least, most = operation.given.get("min"), operation.given.get("max")
    return {
        "least": operation.number(1) if least is None else least,
        "most": operation.number(2) if most is None else most,
    }


def _gather(operation: Operation) -> Attributes | None:
    name = operation.node.input[1]
    # What is taken by the image is no lookup of the image's, but of a table.
    if name not in operation.weights or operation.node.input[0] in operation.weights:
        return None
    places = operation.weights[name]
    if places.ndim > 1 or places.size == 0:
        return None
    attributes = {"axis": operation.given.get("axis", 0), "places": operation.integers(1)}
    return attributes | {"is_single": int(places.ndim == 0)}


def _gelu(operation: Operation) -> Attributes | None:
    return {"approximate": operation.given.get("approximate", b"none").decode()}


def _nothing(_operation: Operation) -> Attributes | None:
    return {}


REWRITERS: dict[str, Callable[[Operation], Attributes | None]] = {
    "Reshape": _reshape,
    "Expand": _expand,
    "Slice": _slice,
    "Squeeze": _axes,
    "Unsqueeze": _axes,
    "Pad": _pad,
    "Split": _split,
    "LayerNormalization": _layer_normalization,
    "Clip": _clip,
    "Gather": _gather,
    "Gelu": _gelu,
    "Mish": _nothing,
    **dict.fromkeys(REDUCTIONS, _reduce),
}
