"""Gaussians as the tensors of a bundle, and back."""

from collections.abc import Iterable, Mapping

from torch import Tensor

from detector.low_rank import LowRankGaussians
from detector.potentials import Gaussians, LabelGaussians


def gaussian_tensors(gaussians: Mapping[str, Gaussians], prefix: str = "") -> dict[str, Tensor]:
    """All tensors of all blocks, each called `prefix` + what it is + a dot + the block."""
    return {
        f"{prefix}{part}.{name}": tensor for name, fit in gaussians.items() for part, tensor in fit.tensors().items()
    }


def gaussians_from(tensors: Mapping[str, Tensor], blocks: Iterable[str], prefix: str = "") -> dict[str, Gaussians]:
    """The Gaussians of these blocks, in the form in which they were stored.

    Raises:
        KeyError: a tensor is missing.
    """
    return {name: _from(tensors, name, prefix) for name in blocks}


def _from(tensors: Mapping[str, Tensor], name: str, prefix: str) -> Gaussians:
    form = LabelGaussians if f"{prefix}whitening.{name}" in tensors else LowRankGaussians
    parts = ("means", "whitening") if form is LabelGaussians else LOW_RANK_PARTS
    return form(**{part: tensors[f"{prefix}{part}.{name}"] for part in parts})


LOW_RANK_PARTS = ("centre", "unit", "basis", "scale", "outside", "means", "unknown", "rows")
