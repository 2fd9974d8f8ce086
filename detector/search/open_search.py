"""The one search: begins paths, steps, measures, keeps the best, lets go of paths that are done."""

import dataclasses

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from detector.passes import waypoints_per_pass
from detector.paths import barrier_height
from detector.search.geometry import Nodes, highest_inner_point, straight_nodes
from detector.search.landscape import Landscape
from detector.search.method import Method, Problem, joined, rows_of
from detector.search.potential import Potential
from detector.search.result import EndedPaths, SearchOutcome, SearchResult, SearchSettings, finite_barriers
from detector.search.slots import Slots
from detector.types import Images

Kept = tuple[Slots | None, list[EndedPaths]]
"""The paths that go on, if any, and those that have ended."""


class OpenSearch:
    """Paths under search; they come and go between two steps, and nothing that happens to one depends on another.

    Whoever begins a path gives it a number, which the potential knows it by; once the path has ended or been dropped
    the number may be given to another. A call that raises leaves the search as it was, so that it can be made again.

    Args:
        n_numbers: paths are numbered from 0 to one less than that.
        shape: (channel, height, width) of their points.
    """

    def __init__(
        self,
        potential: Potential,
        method: Method,
        settings: SearchSettings,
        n_numbers: int,
        shape: tuple[int, int, int],
    ) -> None:
        self._method, self._settings = method, settings
        self._landscape = Landscape(potential, n_numbers, waypoints_per_pass(shape, settings.pixels_per_pass))
        self._n_points, self._n_final_points = settings.resolution + 1, settings.final_resolution + 1
        self._slots: Slots | None = None

    @property
    def n_open(self) -> int:
        """Paths under search."""
        return 0 if self._slots is None else len(self._slots.paths)

    @property
    def n_free(self) -> int:
        """Paths that may be begun before the next step."""
        return self._settings.paths_at_once - self.n_open

    def begin(self, paths: Int64[Tensor, " path"], starts: Images, ends: Images) -> list[EndedPaths]:
        """Measure the straight paths; those that need no search have ended with that.

        Raises:
            ValueError: there are more paths than free slots.
        """
        if len(paths) > self.n_free:
            raise ValueError(f"{len(paths)} paths were to be begun and {self.n_free} slots are free; begin fewer")
        self._landscape.forget(paths)
        begun, ended = self._begun(paths, starts, ends)
        if begun is not None:
            self._slots = begun if self._slots is None else joined(self._slots, begun)
        return ended

    def step(self) -> list[EndedPaths]:
        """One step of every open path; those that have ended with it.

        Raises:
            DetectorError: the potential cannot be differentiated.
        """
        if self._slots is None:
            return []
        spent = self._landscape.spent.clone()
        try:
            self._slots, ended = self._advanced(self._slots)
        except BaseException:
            self._landscape.spent = spent
            raise
        return ended

    def drop(self, paths: Int64[Tensor, " path"]) -> None:
        """Let go of paths whose result nobody wants; numbers that are not under search are passed over."""
        if self._slots is not None:
            kept = (~torch.isin(self._slots.paths, paths.to(self._slots.paths.device))).nonzero()[:, 0]
            self._slots = rows_of(self._slots, kept) if len(kept) else None

    @property
    def _look_cost(self) -> int:
        """Forward equivalents that a path may still cost after a step.

        A coarse look; a fine one if it seems flat; and, if it turns out not to be, a fine one at the best before it.
        """
        fine = 0 if self._n_points == self._n_final_points else self._n_final_points - 2
        return self._n_points - 2 + 2 * fine

    def _spent(self, slots: Slots) -> Int64[Tensor, " path"]:
        return self._landscape.spent.to(slots.paths.device)[slots.paths]

    def _begun(self, paths: Tensor, starts: Images, ends: Images) -> Kept:
        nodes = straight_nodes(starts, ends, self._method.n_nodes)
        profile = self._landscape.profiles(nodes, paths, self._n_final_points)
        barrier = barrier_height(profile)
        problem = Problem(paths=paths, nodes=nodes, highest=highest_inner_point(nodes, profile), profile=profile)
        zeros = torch.zeros_like(paths)
        slots = Slots(
            paths=paths,
            state=self._method.init(problem),
            straight_profile=profile,
            best_nodes=nodes,
            best_profile=profile,
            is_confirmed=torch.ones_like(paths, dtype=torch.bool),
            best_barrier=barrier,
            n_steps=zeros,
            n_waited=zeros,
        )
        is_point = (starts == ends).flatten(1).all(1)
        return self._without(
            slots,
            {
                SearchOutcome.NON_FINITE: ~profile.isfinite().all(1),
                SearchOutcome.NO_LENGTH: is_point,
                SearchOutcome.NO_BARRIER: barrier <= self._settings.flat,
            },
        )

    def _advanced(self, slots: Slots) -> Kept:
        """One step of every path that can pay for it, and the measurement where one is due."""
        cost = self._method.step_cost(slots.state) + self._look_cost
        is_poor = self._spent(slots) + cost > self._settings.budget
        remaining, ended = self._without(slots, {SearchOutcome.OUT_OF_BUDGET: is_poor})
        if remaining is None:
            return None, ended
        state = self._method.step(remaining.state, self._landscape)
        slots = dataclasses.replace(remaining, state=state, n_steps=remaining.n_steps + 1)
        is_last = self._spent(slots) + self._method.step_cost(state) + 2 * self._look_cost > self._settings.budget
        is_done = self._method.is_done(state)
        is_finite = self._method.is_finite(state)
        is_due = (slots.n_steps % self._settings.check_every == 0) | is_done | is_last
        slots, is_finite = self._checked(slots, is_due & is_finite, is_finite)
        kept, ended_now = self._without(
            slots,
            {
                SearchOutcome.NON_FINITE: ~is_finite,
                SearchOutcome.FLATTENED: slots.best_barrier <= self._settings.flat,
                SearchOutcome.CONVERGED: is_done,
                SearchOutcome.STALLED: slots.n_waited >= self._settings.patience,
            },
        )
        return kept, ended + ended_now

    def _checked(
        self, slots: Slots, is_due: Bool[Tensor, " path"], is_finite: Bool[Tensor, " path"]
    ) -> tuple[Slots, Bool[Tensor, " path"]]:
        """Measure the paths that are due, and keep what is better; also says which are still finite."""
        rows = is_due.nonzero()[:, 0]
        if len(rows) == 0:
            return slots, is_finite
        nodes = self._method.nodes(rows_of(slots.state, rows))
        barrier, profile, is_confirmed = self._looked_at(nodes, slots, rows)
        best = slots.best_barrier[rows]
        is_better = barrier < best
        has_progressed = barrier < best - self._settings.improvement * slots.straight_barrier[rows]
        better = rows[is_better]
        return dataclasses.replace(
            slots,
            best_nodes=slots.best_nodes.index_copy(0, better, nodes[is_better]),
            best_profile=slots.best_profile.index_copy(0, better, profile[is_better]),
            is_confirmed=slots.is_confirmed.index_copy(0, better, is_confirmed[is_better]),
            best_barrier=slots.best_barrier.index_copy(0, better, barrier[is_better]),
            n_waited=slots.n_waited.index_copy(
                0, rows, torch.where(has_progressed, torch.zeros_like(rows), slots.n_waited[rows] + 1)
            ),
        ), is_finite.index_copy(0, rows, barrier.isfinite())

    def _looked_at(
        self, nodes: Nodes, slots: Slots, rows: Tensor
    ) -> tuple[Float[Tensor, " path"], Float[Tensor, "path point"], Bool[Tensor, " path"]]:
        """Coarse barriers, and for paths that look flat the fine profile that they must show it in."""
        coarse = self._landscape.profiles(nodes, slots.paths[rows], self._n_points, slots.ends[rows])
        # A value that is not a number makes the barrier none either: maxima pass NaN on, and inf - x is inf.
        barrier = torch.where(coarse.isfinite().all(1), barrier_height(coarse), torch.nan)
        if self._n_points == self._n_final_points:
            return barrier, coarse, torch.ones_like(rows, dtype=torch.bool)
        looks_flat = barrier <= self._settings.flat
        flat_rows = rows[looks_flat]
        fine = self._landscape.profiles(
            nodes[looks_flat], slots.paths[flat_rows], self._n_final_points, slots.ends[flat_rows]
        )
        where = looks_flat.nonzero()[:, 0]
        return (
            barrier.index_copy(0, where, torch.where(fine.isfinite().all(1), barrier_height(fine), torch.nan)),
            slots.best_profile[rows].index_copy(0, where, fine),
            looks_flat,
        )

    def _without(self, slots: Slots, finished: dict[SearchOutcome, Bool[Tensor, " path"]]) -> Kept:
        """Part the paths that are finished, the first outcome that holds being theirs, from the others."""
        outcomes: dict[int, SearchOutcome] = {}
        for outcome, holds in finished.items():
            for row in holds.nonzero()[:, 0].tolist():
                outcomes.setdefault(row, outcome)
        if not outcomes:
            return slots, []
        rows = torch.tensor(sorted(outcomes), device=slots.paths.device)
        ended = self._ended(rows_of(slots, rows), tuple(outcomes[row] for row in rows.tolist()))
        is_kept = torch.ones_like(slots.paths, dtype=torch.bool).index_fill(0, rows, False)
        kept = is_kept.nonzero()[:, 0]
        return rows_of(slots, kept) if len(kept) else None, [ended]

    def _ended(self, done: Slots, outcomes: tuple[SearchOutcome, ...]) -> EndedPaths:
        """Measure finely what has been measured coarsely alone, and keep it unless the straight path was lower."""
        rows = (~done.is_confirmed).nonzero()[:, 0]
        fine = self._landscape.profiles(done.best_nodes[rows], done.paths[rows], self._n_final_points, done.ends[rows])
        profiles = done.best_profile.index_copy(0, rows, fine)
        is_lower = barrier_height(profiles) <= done.straight_barrier
        straight = straight_nodes(done.best_nodes[:, 0], done.best_nodes[:, -1], self._method.n_nodes)
        profiles = torch.where(is_lower[:, None], profiles, done.straight_profile)
        return EndedPaths(
            paths=done.paths,
            found=SearchResult(
                nodes=torch.where(is_lower[:, None, None, None, None], done.best_nodes, straight),
                profiles=profiles,
                barriers=finite_barriers(profiles),
                straight_profiles=done.straight_profile,
                straight_barriers=finite_barriers(done.straight_profile),
                n_steps=done.n_steps.cpu(),
                forward_equivalents=self._landscape.spent[done.paths.cpu()],
                outcomes=outcomes,
            ),
        )
