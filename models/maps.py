"""Where the pixels lie in what a module gives; nearly all give channels first, transformers with windows last."""

from collections.abc import Sequence
from typing import Any

from torch import SymInt

Size = int | SymInt
"""Of an axis; symbolic where a network is traced."""


def resolution_of(shape: Sequence[int], aspect: float) -> tuple[int, int] | None:
    """(height, width) of maps of that shape, image axis first; None where it is not that of maps.

    Args:
        aspect: height by width of the image, which its maps share to within a pixel.
    """
    if len(shape) != 4:
        return None
    first, last = (shape[2], shape[3]), (shape[1], shape[2])
    return next((resolution for resolution in (first, last) if _fits(resolution, aspect)), None)


def has_channels_last(shape: Sequence[Size], aspect: float) -> bool:
    """Whether maps of that shape are (image, height, width, channel), for they cannot be the other way round."""
    return len(shape) == 4 and not _fits((shape[2], shape[3]), aspect) and _fits((shape[1], shape[2]), aspect)


def _fits(resolution: tuple[Any, Any], aspect: float) -> bool:
    is_near: bool = abs(resolution[0] - resolution[1] * aspect) <= 1
    return is_near
