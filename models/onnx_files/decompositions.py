"""Backward passes in operations that ONNX has: transposed convolutions, scattered sums, products of matrices."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import SymInt, Tensor
from torch._decomp import decomposition_table
from torch._ops import OpOverload
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from models.errors import ModelError

aten = torch.ops.aten

Size = int | SymInt


def backward_decompositions() -> dict[OpOverload, Callable[..., Any]]:
    """What stands for the backward operations that ONNX lacks: torch's own rules, and those of this file.

    Forward operations are left whole, since a runtime has fast kernels for them.
    """
    known = {
        operator: rule
        for operator, rule in decomposition_table.items()
        if isinstance(operator, OpOverload) and "backward" in str(operator)
    }
    return known | _OWN


class SimplerForwards(TorchFunctionMode):
    """While the mode is on, forward operations with awkward derivatives are made of ones with simple derivatives."""

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        return _SIMPLER.get(func, func)(*args, **(kwargs or {}))


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:  # noqa: A002
    """Of rows; torch's own kernel asks how many tokens there are, and so fixes the number of images."""
    if input.ndim <= 2:
        return functional.linear(input, weight, bias)
    rows = functional.linear(input.reshape(-1, weight.shape[1]), weight, bias)
    # A copy, since what works in place on a view has a backward pass that no graph can hold.
    return rows.view(*input.shape[:-1], weight.shape[0]).clone()


def _attention(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor | None]:
    """Of tokens among themselves, written out; with masks or extra tokens it is left as it is."""
    given = inspect.signature(functional.multi_head_attention_forward).bind(*args, **kwargs).arguments
    tokens, is_among_themselves = given["query"], given["query"] is given["key"] is given["value"]
    is_plain = all(given.get(name) is None for name in ("bias_k", "bias_v", "key_padding_mask", "attn_mask"))
    if not is_among_themselves or not is_plain or given["in_proj_weight"] is None or given["add_zero_attn"]:
        return functional.multi_head_attention_forward(*args, **kwargs)
    biases = [None] * 3 if given["in_proj_bias"] is None else given["in_proj_bias"].chunk(3)
    # Heads of (token, image, head, feature) as (image, head, token, feature).
    query, key, value = (
        _in_heads(_linear(tokens, weight, bias), given["num_heads"]).permute(1, 2, 0, 3)
        for weight, bias in zip(given["in_proj_weight"].chunk(3), biases, strict=True)
    )
    weights = (query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5).softmax(-1)
    mixed = (weights @ value).permute(2, 0, 1, 3).flatten(2)
    shown = weights.mean(1) if given.get("average_attn_weights", True) else weights
    found = _linear(mixed, given["out_proj_weight"], given["out_proj_bias"])
    return found, shown if given.get("need_weights", True) else None


def _in_heads(features: Tensor, n_heads: int) -> Tensor:
    return features.view(*features.shape[:-1], n_heads, features.shape[-1] // n_heads)


def _adaptive_average_pool(input: Tensor, output_size: int | Sequence[int | None]) -> Tensor:  # noqa: A002
    """Products of matrices; torch's own kernel for one cell changes strides in place, which no graph can hold."""
    wanted = (output_size, output_size) if isinstance(output_size, int) else output_size
    sizes = [int(given) for given in input.shape[-2:]]
    height, width = (given if size is None else size for given, size in zip(sizes, wanted, strict=True))
    if (height, width) == (1, 1):
        return input.mean((-2, -1), keepdim=True)
    if [height, width] == sizes:
        return input.clone()
    down, across = _adaptive_averages(sizes[0], height), _adaptive_averages(sizes[1], width)
    return down @ input @ across.T


def _convolution_backward(
    gradient: Tensor,
    input: Tensor,  # noqa: A002
    weight: Tensor,
    _bias_sizes: Sequence[int] | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    _output_padding: Sequence[int],
    groups: int,
    output_mask: Sequence[bool],
) -> tuple[Tensor | None, None, None]:
    """The gradient in the input alone; weights are frozen."""
    if output_mask[1] or output_mask[2]:
        raise ModelError("a convolution's weights depend on the image or are not frozen; freeze them")
    if not output_mask[0]:
        return None, None, None
    if transposed:
        back = aten.convolution.default(gradient, weight, None, stride, padding, dilation, False, [0, 0], groups)
        return back, None, None
    missing = []
    for axis, step in enumerate(stride):
        reach = dilation[axis] * (weight.shape[2 + axis] - 1) + 1
        reached = (gradient.shape[2 + axis] - 1) * step - 2 * padding[axis] + reach
        # What a stride leaves over at the far edge.
        missing.append(int(input.shape[2 + axis] - reached))
    back = aten.convolution.default(gradient, weight, None, stride, padding, dilation, True, missing, groups)
    return back, None, None


def _max_pool_backward(
    gradient: Tensor,
    input: Tensor,  # noqa: A002
    _kernel: Sequence[int],
    _stride: Sequence[int],
    _padding: Sequence[int],
    _dilation: Sequence[int],
    _ceil_mode: bool,
    indices: Tensor,
) -> Tensor:
    """Windows may overlap: what one cell was the largest of is summed."""
    cells = torch.zeros_like(input).flatten(-2)
    return cells.scatter_add(-1, indices.flatten(-2), gradient.flatten(-2)).view(input.shape)


def _average_pool_backward(
    gradient: Tensor,
    input: Tensor,  # noqa: A002
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    _ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    axes = []
    for axis in range(2):
        size, step, margin = (values[axis % len(values)] for values in (kernel, stride or kernel, padding))
        n_cells, n_windows = int(input.shape[axis - 2]), int(gradient.shape[axis - 2])
        starts = np.arange(n_windows) * step - margin
        ends = np.minimum(starts + size, n_cells + margin)
        counts = ends - starts if count_include_pad else np.minimum(ends, n_cells) - np.maximum(starts, 0)
        axes.append(_averages(n_cells, starts, ends, np.ones_like(counts) if divisor_override else counts))
    down, across = axes
    return down.T @ (gradient / (divisor_override or 1)) @ across


def _adaptive_average_pool_backward(gradient: Tensor, input: Tensor) -> Tensor:  # noqa: A002
    down, across = (_adaptive_averages(int(input.shape[axis]), int(gradient.shape[axis])) for axis in (-2, -1))
    return down.T @ gradient @ across


def _adaptive_averages(n_cells: int, n_windows: int) -> Tensor:
    numbers = np.arange(n_windows)
    starts, ends = numbers * n_cells // n_windows, -(-(numbers + 1) * n_cells // n_windows)
    return _averages(n_cells, starts, ends, ends - starts)


def _averages(n_cells: int, starts: Any, ends: Any, counts: Any) -> Tensor:
    """The matrix (window, cell) that averages along one axis; average pools are one such matrix an axis."""
    cells = np.arange(n_cells)
    is_inside = (cells >= starts[:, None]) & (cells < ends[:, None])
    # Made outside torch, it enters a traced graph as a constant.
    return torch.from_numpy((is_inside / counts[:, None]).astype(np.float32))


_SIMPLER: dict[Any, Callable[..., object]] = {
    functional.linear: _linear,
    aten.linear.default: _linear,
    functional.multi_head_attention_forward: _attention,
    functional.adaptive_avg_pool2d: _adaptive_average_pool,
    aten.adaptive_avg_pool2d.default: _adaptive_average_pool,
}

_OWN: dict[OpOverload, Callable[..., Any]] = {
    aten.convolution_backward.default: _convolution_backward,
    aten.max_pool2d_with_indices_backward.default: _max_pool_backward,
    aten.avg_pool2d_backward.default: _average_pool_backward,
    aten._adaptive_avg_pool2d_backward.default: _adaptive_average_pool_backward,
}
