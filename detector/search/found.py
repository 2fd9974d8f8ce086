"""A table of what searches found, one row a path, filled in as they end."""

import dataclasses
from collections.abc import Sequence

import torch
from jaxtyping import Int64
from torch import Tensor

from detector.search.result import EndedPaths, SearchOutcome, SearchResult
from detector.types import Images

_COLUMNS = tuple(field.name for field in dataclasses.fields(SearchResult) if field.name != "outcomes")


class FoundPaths:
    """The results of so many paths, by their numbers.

    Args:
        like: images whose shape, type and device the corners of the paths have.
        n_nodes: corners of a path, ends included.
        n_points: points of its profile.
    """

    def __init__(self, n_paths: int, like: Images, n_nodes: int, n_points: int) -> None:
        self._outcomes: dict[int, SearchOutcome] = {}
        unknown = like.new_full((n_paths, n_points), torch.nan)
        self._found = SearchResult(
            nodes=like.new_zeros(n_paths, n_nodes, *like.shape[1:]),
            profiles=unknown,
            barriers=like.new_full((n_paths,), torch.nan),
            straight_profiles=unknown.clone(),
            straight_barriers=like.new_full((n_paths,), torch.nan),
            n_steps=torch.zeros(n_paths, dtype=torch.int64),
            forward_equivalents=torch.zeros(n_paths, dtype=torch.int64),
            outcomes=(),
        )

    @property
    def n_written(self) -> int:
        """Paths that have a result."""
        return len(self._outcomes)

    def write(self, ended: Sequence[EndedPaths]) -> None:
        """Put the results of some paths where their numbers say, over what may stand there."""
        for part in ended:
            for name in _COLUMNS:
                column = getattr(self._found, name)
                column[part.paths.to(column.device)] = getattr(part.found, name)
            self._outcomes.update(zip(part.paths.tolist(), part.found.outcomes, strict=True))

    def all(self) -> SearchResult:
        """The table itself, every path having ended."""
        return dataclasses.replace(self._found, outcomes=self._outcomes_of(range(len(self._found.n_steps))))

    def of(self, paths: Int64[Tensor, " path"]) -> SearchResult:
        """A copy of some rows, in the order asked for."""
        columns = {name: getattr(self._found, name) for name in _COLUMNS}
        rows = {name: column[paths.to(column.device)] for name, column in columns.items()}
        return SearchResult(**rows, outcomes=self._outcomes_of(paths.tolist()))

    def _outcomes_of(self, paths: Sequence[int]) -> tuple[SearchOutcome, ...]:
        return tuple(self._outcomes[path] for path in paths)
