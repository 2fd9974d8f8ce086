"""Operations of ONNX as modules of torch whose shapes and axes are fixed, so that torch.export can trace them."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

REDUCTIONS: dict[str, Callable[..., Tensor]] = {
    "ReduceMean": torch.mean,
    "ReduceSum": torch.sum,
    "ReduceMax": torch.amax,
    "ReduceMin": torch.amin,
    "ReduceL2": torch.linalg.vector_norm,
}


class Reshape(nn.Module):
    """To a shape in which −1 stands for what is left."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, values: Tensor) -> Tensor:
        return values.reshape(self.shape)


class Expand(nn.Module):
    """To a shape whose first axis is as long as there are images, times `per_image`."""

    def __init__(self, per_image: int, shape: Sequence[int]) -> None:
        super().__init__()
        self.per_image, self.shape = per_image, tuple(shape)

    def forward(self, values: Tensor, images: Tensor) -> Tensor:
        return values.expand((images.shape[0] * self.per_image, *self.shape))


class Slice(nn.Module):
    """By (axis, start, stop, step)."""

    def __init__(self, parts: Sequence[tuple[int, int, int, int]]) -> None:
        super().__init__()
        self.parts = tuple(parts)

    def forward(self, values: Tensor) -> Tensor:
        slices = [slice(None)] * values.ndim
        for axis, start, stop, step in self.parts:
            if step > 0:
                slices[axis] = slice(start, stop, step)
            else:
                # Slices of tensors only go forwards.
                places = range(*slice(start, stop, step).indices(values.shape[axis]))
                values = values.index_select(axis, torch.tensor(list(places), device=values.device))
        return values[tuple(slices)]


class Squeeze(nn.Module):
    """Axes of length one, away."""

    def __init__(self, axes: Sequence[int]) -> None:
        super().__init__()
        self.axes = tuple(axes)

    def forward(self, values: Tensor) -> Tensor:
        return values.squeeze(self.axes)


class Unsqueeze(nn.Module):
    """Axes of length one, in; they are counted in the result."""

    def __init__(self, axes: Sequence[int]) -> None:
        super().__init__()
        self.axes = tuple(axes)

    def forward(self, values: Tensor) -> Tensor:
        n_axes = values.ndim + len(self.axes)
        for axis in sorted(axis % n_axes for axis in self.axes):
            values = values.unsqueeze(axis)
        return values


class Pad(nn.Module):
    """With one value, by as many at the begin of each axis and then at the end of each as ONNX has them."""

    def __init__(self, pads: Sequence[int], value: float) -> None:
        super().__init__()
        n_axes = len(pads) // 2
        # Torch begins with the last axis.
        self.pads = [pads[axis + end * n_axes] for axis in reversed(range(n_axes)) for end in (0, 1)]
        self.value = value

    def forward(self, values: Tensor) -> Tensor:
        return nn.functional.pad(values, self.pads, value=self.value)


class Split(nn.Module):
    """Into parts of the given sizes, or into as many alike, of which the last may be smaller."""

    def __init__(self, axis: int, sizes: Sequence[int], n_parts: int) -> None:
        super().__init__()
        self.axis, self.sizes, self.n_parts = axis, list(sizes), n_parts

    def forward(self, values: Tensor) -> tuple[Tensor, ...]:
        size = -(-values.shape[self.axis] // self.n_parts)
        parts: tuple[Tensor, ...] = torch.split(values, self.sizes or size, self.axis)
        return parts


class Reduce(nn.Module):
    """Over some axes, or all."""

    def __init__(self, kind: str, axes: Sequence[int], keeps_axes: bool) -> None:
        super().__init__()
        self.kind, self.axes, self.keeps_axes = kind, tuple(axes), keeps_axes

    def forward(self, values: Tensor) -> Tensor:
        axes = self.axes or tuple(range(values.ndim))
        return REDUCTIONS[self.kind](values, dim=axes, keepdim=self.keeps_axes)


class LayerNormalization(nn.Module):
    """Over the axes from `axis` on."""

    def __init__(self, axis: int, epsilon: float) -> None:
        super().__init__()
        self.axis, self.epsilon = axis, epsilon

    def forward(self, values: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
        return nn.functional.layer_norm(values, values.shape[self.axis :], scale, bias, self.epsilon)


class Clip(nn.Module):
    """Between two numbers, of which one may be missing."""

    def __init__(self, least: float | None, most: float | None) -> None:
        super().__init__()
        self.least, self.most = least, most

    def forward(self, values: Tensor) -> Tensor:
        return values if self.least is None and self.most is None else values.clamp(self.least, self.most)


class Take(nn.Module):
    """One place along an axis, which then is gone, or several."""

    places: Tensor

    def __init__(self, axis: int, places: Sequence[int], is_single: bool) -> None:
        super().__init__()
        self.axis, self.is_single = axis, is_single
        self.place = places[0] if is_single else 0
        self.register_buffer("places", torch.tensor(places), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        if self.is_single:
            return values.select(self.axis, self.place)
        places = torch.where(self.places < 0, self.places + values.shape[self.axis], self.places)
        return values.index_select(self.axis, places)
