"""The paths that are under search at one time."""

import dataclasses
from typing import Any

from jaxtyping import Bool, Float, Int64
from torch import Tensor

from detector.search.geometry import Nodes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Slots:
    """The paths that are being searched; every tensor has one row a path.

    Attributes:
        best_profile: finely measured where `is_confirmed`, and otherwise that of an earlier path.
        best_barrier: of the best nodes, coarsely measured where not confirmed.
    """

    paths: Int64[Tensor, " path"]
    state: Any
    ends: Float[Tensor, "path end"]
    best_nodes: Nodes
    best_profile: Float[Tensor, "path point"]
    is_confirmed: Bool[Tensor, " path"]
    best_barrier: Float[Tensor, " path"]
    straight_barrier: Float[Tensor, " path"]
    n_steps: Int64[Tensor, " path"]
    n_waited: Int64[Tensor, " path"]
