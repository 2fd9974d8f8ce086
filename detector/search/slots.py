"""The paths that are under search at one time."""

import dataclasses
from typing import Any

from jaxtyping import Bool, Float, Int64
from torch import Tensor

from detector.paths import barrier_height
from detector.search.geometry import Nodes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Slots:
    """The paths that are being searched; every tensor has one row a path.

    Attributes:
        straight_profile: of the straight path, finely measured.
        best_profile: finely measured where `is_confirmed`, and otherwise that of an earlier path.
        best_barrier: of the best nodes, coarsely measured where not confirmed.
    """

    paths: Int64[Tensor, " path"]
    state: Any
    straight_profile: Float[Tensor, "path point"]
    best_nodes: Nodes
    best_profile: Float[Tensor, "path point"]
    is_confirmed: Bool[Tensor, " path"]
    best_barrier: Float[Tensor, " path"]
    n_steps: Int64[Tensor, " path"]
    n_waited: Int64[Tensor, " path"]

    @property
    def ends(self) -> Float[Tensor, "path end"]:
        """The potential at both ends, shape (path, 2)."""
        return self.straight_profile[:, [0, -1]]

    @property
    def straight_barrier(self) -> Float[Tensor, " path"]:
        """The barrier of the straight path."""
        return barrier_height(self.straight_profile)
