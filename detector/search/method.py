"""What a method of search is: a start, a step and a word on when to stop, for many paths at once."""

import dataclasses
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from detector.search.geometry import Nodes
from detector.search.landscape import Landscape


@dataclasses.dataclass(frozen=True, kw_only=True)
class Problem:
    """Paths that are about to be searched.

    Attributes:
        paths: their numbers, as the potential knows them.
        nodes: the straight paths.
        highest: the inner point of each straight path where the potential was found highest.
        profile: the potential along the straight paths, ends included.
    """

    paths: Int64[Tensor, " path"]
    nodes: Nodes
    highest: Float[Tensor, "path channel height width"]
    profile: Float[Tensor, "path point"]

    @property
    def ground(self) -> Float[Tensor, " path"]:
        """The higher end of each path, above which barriers are counted."""
        return torch.maximum(self.profile[:, 0], self.profile[:, -1])


@runtime_checkable
class Method(Protocol):
    """One way to lower paths. States are frozen dataclasses of tensors whose first axis is the path.

    Nothing that happens to one path may depend on another, so that paths may come and go between two steps.
    """

    @property
    def n_nodes(self) -> int:
        """Corners of a path, ends included."""
        ...

    def init(self, problem: Problem) -> Any:
        """State of paths that start out straight."""
        ...

    def step(self, state: Any, landscape: Landscape) -> Any:
        """State after one step."""
        ...

    def step_cost(self, state: Any) -> Int64[Tensor, " path"]:
        """Forward equivalents that the next step of each path may cost at most."""
        ...

    def nodes(self, state: Any) -> Nodes:
        """The paths as they stand, within [0, 1]."""
        ...

    def is_done(self, state: Any) -> Bool[Tensor, " path"]:
        """Which paths have come to rest."""
        ...

    def is_finite(self, state: Any) -> Bool[Tensor, " path"]:
        """Which paths have met nothing but numbers in their last step."""
        ...


State = TypeVar("State")


def rows_of(state: State, rows: Tensor) -> State:
    """The same state for some of its paths; nested states too."""
    return _mapped(state, lambda value: value[rows])


def joined(first: State, second: State) -> State:
    """Two states as one, the paths of the first before those of the second."""
    parts: dict[str, Any] = {}
    for field in dataclasses.fields(first):  # type: ignore[arg-type]
        one, other = getattr(first, field.name), getattr(second, field.name)
        parts[field.name] = torch.cat([one, other]) if isinstance(one, Tensor) else joined(one, other)
    return type(first)(**parts)


def _mapped(state: State, function: Any) -> State:
    parts: dict[str, Any] = {}
    for field in dataclasses.fields(state):  # type: ignore[arg-type]
        value = getattr(state, field.name)
        parts[field.name] = function(value) if isinstance(value, Tensor) else _mapped(value, function)
    return type(state)(**parts)
