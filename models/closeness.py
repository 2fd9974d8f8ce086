"""How far two computations of the same numbers are apart."""

from torch import Tensor

_NOTHING = 1e-6
"""Values below it are taken as this large, since what is left of them is rounding."""


def relative_difference(found: Tensor, expected: Tensor) -> float:
    """The largest difference as a part of the largest value that was expected; NaN where either holds one.

    Args:
        found, expected: of one shape.
    """
    return ((found - expected).abs().max() / expected.abs().max().clamp_min(_NOTHING)).item()
