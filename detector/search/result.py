"""What a search is asked for, and what it finds."""

import dataclasses
import enum

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from detector.passes import PIXELS_PER_PASS
from detector.paths import barrier_height
from detector.types import DetectorError


class SearchOutcome(enum.StrEnum):
    """Why the search for one path ended; `advice` says what to make of it."""

    NO_BARRIER = "no-barrier"
    FLATTENED = "flattened"
    CONVERGED = "converged"
    STALLED = "stalled"
    OUT_OF_BUDGET = "out-of-budget"
    NON_FINITE = "non-finite"
    NO_LENGTH = "no-length"

    @property
    def advice(self) -> str:
        """One sentence for a person."""
        return _ADVICE[self]


_ADVICE = {
    SearchOutcome.NO_BARRIER: "The straight path never rises above its higher end, so there was nothing to search.",
    SearchOutcome.FLATTENED: "A path without a barrier was found.",
    SearchOutcome.CONVERGED: "The method came to rest; its best path keeps a barrier.",
    SearchOutcome.STALLED: "The barrier stopped falling; another method or a larger patience may find a lower path.",
    SearchOutcome.OUT_OF_BUDGET: "The budget ran out before the search came to rest; a larger one may lower it.",
    SearchOutcome.NON_FINITE: "The potential was not finite at some waypoint; the best path before that is kept.",
    SearchOutcome.NO_LENGTH: "Start and end are the same image, so the path is a point.",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchSettings:
    """What every method is held to.

    Attributes:
        budget: forward equivalents that one path may cost, a gradient counting 3; the straight path is measured even
            where there is no budget for it.
        resolution: pieces, equally long, in which a path is measured while it is searched.
        final_resolution: pieces in which the straight and the best path are measured; a coarse look alone would prefer
            paths whose peak falls between its points.
        check_every: steps between two measurements of a path.
        flat: barrier that counts as none, in the potential's unit.
        improvement: share of the straight barrier by which a check must beat the best so far to count as progress.
        patience: checks without progress before a path has stalled.
        paths_at_once: paths that are searched together; memory follows it, not the number of paths.
        pixels_per_pass: bound on the size of one forward pass.
    """

    budget: int = 400
    resolution: int = 16
    final_resolution: int = 32
    check_every: int = 4
    flat: float = 1e-3
    improvement: float = 0.01
    patience: int = 4
    paths_at_once: int = 256
    pixels_per_pass: int = PIXELS_PER_PASS

    def __post_init__(self) -> None:
        counts = {name: getattr(self, name) for name in ("check_every", "patience", "paths_at_once", "pixels_per_pass")}
        for name, value in counts.items():
            if value < 1:
                raise DetectorError(f"{name} of a search is {value}; it must be at least 1")
        if not 2 <= self.resolution <= self.final_resolution:
            raise DetectorError(
                f"paths were to be measured in {self.resolution} pieces and at last in {self.final_resolution}; "
                "take at least 2, and no fewer at last"
            )
        if self.budget < 0 or self.flat < 0 or self.improvement < 0:
            raise DetectorError(
                f"budget {self.budget}, flat {self.flat} and improvement {self.improvement} of a search must not be "
                "negative"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchResult:
    """The best path found for each pair of ends, never worse than the straight one.

    Attributes:
        nodes: corners of the best path, ends included; it is straight between them.
        profiles: the potential along it, at `final_resolution` + 1 points equally far from one another up to half a
            step, ends included.
        barriers: its height, in the potential's unit; NaN where even the straight path is not finite.
        straight_profiles, straight_barriers: the same of the straight path.
        n_steps: steps that the method took.
        forward_equivalents: what the path cost, a gradient counting 3.
        outcomes: why each search ended.
    """

    nodes: Float[Tensor, "path node channel height width"]
    profiles: Float[Tensor, "path point"]
    barriers: Float[Tensor, " path"]
    straight_profiles: Float[Tensor, "path point"]
    straight_barriers: Float[Tensor, " path"]
    n_steps: Int64[Tensor, " path"]
    forward_equivalents: Int64[Tensor, " path"]
    outcomes: tuple[SearchOutcome, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class EndedPaths:
    """Paths whose search has ended, by their numbers, and what it found for each."""

    paths: Int64[Tensor, " path"]
    found: SearchResult


def finite_barriers(profiles: Float[Tensor, "path point"]) -> Float[Tensor, " path"]:
    """Barrier heights; NaN where a profile is not finite anywhere, infinite potentials included."""
    return torch.where(profiles.isfinite().all(1), barrier_height(profiles), torch.nan)
