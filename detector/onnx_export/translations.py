"""What PyTorch's exporter has no ONNX operators for, or none that keep the digits."""

from collections.abc import Callable, Mapping
from typing import Any

import torch

OPSET = 20
"""Of ONNX's own operators; ONNX Runtime knows it since version 1.17."""

Translations = Mapping[Any, Callable[..., Any]]
"""From an overload of an operator to the function that writes it with ONNX operators."""


def translations() -> Translations:
    """The operators that detectors take and the exporter lacks.

    `cdist`: differences, squared and summed, as PyTorch computes it where it is told not to expand the square.
    `searchsorted`: how many sorted values lie below each; they are so few that counting beats searching.
    """
    return {
        torch.ops.aten._cdist_forward.default: _cdist,
        torch.ops.aten.searchsorted.Tensor: _searchsorted,
    }


def _cdist(x1: Any, x2: Any, p: float, _compute_mode: int | None = None) -> Any:
    op = _operators()
    if p != 2:
        raise NotImplementedError(f"distances are exported with p = 2, not {p}")
    differences = op.Sub(_unsqueezed(x1, 1), _unsqueezed(x2, 0))
    return op.Sqrt(op.ReduceSum(op.Mul(differences, differences), op.Constant(value_ints=[2]), keepdims=0))


def _searchsorted(
    sorted_sequence: Any,
    values: Any,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Any:
    op = _operators()
    if out_int32 or sorter is not None:
        raise NotImplementedError("searching is exported with 64-bit results in sequences that are sorted")
    sequence, sought = _unsqueezed(sorted_sequence, 0), _unsqueezed(values, 1)
    is_below = op.LessOrEqual(sequence, sought) if right or side == "right" else op.Less(sequence, sought)
    return op.ReduceSum(op.Cast(is_below, to=_INT64), op.Constant(value_ints=[1]), keepdims=0)


_INT64 = 7
"""onnx.TensorProto.INT64."""


def _unsqueezed(tensor: Any, axis: int) -> Any:
    op = _operators()
    return op.Unsqueeze(tensor, op.Constant(value_ints=[axis]))


def _operators() -> Any:
    from onnxscript import opset20  # noqa: PLC0415

    return opset20
