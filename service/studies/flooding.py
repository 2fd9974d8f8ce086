"""The exact answer in two dimensions: a grid is flooded until two points lie in one lake."""

import numpy as np
from jaxtyping import Float, Int64
from numpy import ndarray
from scipy import ndimage

_NEIGHBOURS = np.ones((3, 3))


def flooding_levels(
    heights: Float[ndarray, "row column"],
    starts: Int64[ndarray, "pair 2"],
    ends: Int64[ndarray, "pair 2"],
    levels: Float[ndarray, " level"],
) -> Float[ndarray, " pair"]:
    """The lowest of the levels, ascending, at which start and end lie in one connected set of cells no higher.

    Diagonal neighbours count as connected. Infinite where no level joins the two.
    """
    joined_at = np.full(len(starts), np.inf)
    for level in levels:
        lakes, _ = ndimage.label(heights <= level, structure=_NEIGHBOURS)
        at_start, at_end = lakes[tuple(starts.T)], lakes[tuple(ends.T)]
        is_joined = (at_start == at_end) & (at_start > 0)
        joined_at = np.where(is_joined & np.isinf(joined_at), level, joined_at)
    return joined_at
