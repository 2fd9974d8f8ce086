"""The one search loop: fills slots, steps, measures, keeps the best, lets go of paths that are done."""

import dataclasses

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from detector.passes import waypoints_per_pass
from detector.paths import barrier_height
from detector.search.geometry import Nodes, highest_inner_point, sample_path, straight_nodes
from detector.search.landscape import Landscape
from detector.search.method import Method, Problem, joined, rows_of
from detector.search.potential import Potential, check_same_shape
from detector.search.result import SearchOutcome, SearchResult, SearchSettings, finite_barriers
from detector.search.slots import Slots
from detector.types import Images, ProgressCallback, no_progress


def search_paths(
    potential: Potential,
    starts: Images,
    ends: Float[Tensor, "_ _ _ _"],
    method: Method,
    settings: SearchSettings | None = None,
    progress: ProgressCallback = no_progress,
) -> SearchResult:
    """Look for a path of lower barrier between each start and its end.

    Paths share forward passes but nothing else; one that is done makes room for the next that waits.

    Raises:
        DetectorError: starts and ends do not pair up, or the potential cannot be differentiated.
    """
    check_same_shape(starts, ends)
    return _Search(potential, starts, ends, method, settings or SearchSettings(), progress).run()


class _Search:
    """One call of `search_paths`."""

    def __init__(
        self,
        potential: Potential,
        starts: Images,
        ends: Images,
        method: Method,
        settings: SearchSettings,
        progress: ProgressCallback,
    ) -> None:
        self.starts, self.ends, self.method, self.settings, self.progress = starts, ends, method, settings, progress
        shape = (starts.shape[1], starts.shape[2], starts.shape[3])
        self.landscape = Landscape(potential, len(starts), waypoints_per_pass(shape, settings.pixels_per_pass))
        self.n_points, self.n_final_points = settings.resolution + 1, settings.final_resolution + 1
        n_paths = len(starts)
        self.nodes = starts.new_zeros(n_paths, method.n_nodes, *shape)
        self.profiles = starts.new_full((n_paths, self.n_final_points), torch.nan)
        self.straight_profiles = self.profiles.clone()
        self.n_steps = torch.zeros(n_paths, dtype=torch.int64)
        self.outcomes: dict[int, SearchOutcome] = {}
        self.n_begun = 0

    def run(self) -> SearchResult:
        slots = None
        while slots is not None or self.n_begun < len(self.starts):
            slots = self._filled(slots)
            if slots is not None:
                slots = self._advanced(slots)
            self.progress("searching paths", len(self.outcomes), len(self.starts))
        return SearchResult(
            nodes=self.nodes,
            profiles=self.profiles,
            barriers=finite_barriers(self.profiles),
            straight_profiles=self.straight_profiles,
            straight_barriers=finite_barriers(self.straight_profiles),
            n_steps=self.n_steps,
            forward_equivalents=self.landscape.spent,
            outcomes=tuple(self.outcomes[path] for path in range(len(self.starts))),
        )

    def _filled(self, slots: Slots | None) -> Slots | None:
        """Put waiting paths into free slots."""
        n_free = self.settings.paths_at_once - (0 if slots is None else len(slots.paths))
        n_taken = min(n_free, len(self.starts) - self.n_begun)
        if n_taken == 0:
            return slots
        begun = self._begin(torch.arange(self.n_begun, self.n_begun + n_taken, device=self.starts.device))
        self.n_begun += n_taken
        if begun is None or slots is None:
            return begun or slots
        return joined(slots, begun)

    @property
    def _look_cost(self) -> int:
        """Forward equivalents that a path may still cost after a step.

        A coarse look; a fine one if it seems flat; and, if it turns out not to be, a fine one at the best before it.
        """
        fine = 0 if self.n_points == self.n_final_points else self.n_final_points - 2
        return self.n_points - 2 + 2 * fine

    def _begin(self, paths: Tensor) -> Slots | None:
        """Measure the straight paths; those that need no search are written down at once."""
        starts, ends = self.starts[paths], self.ends[paths]
        nodes = straight_nodes(starts, ends, self.method.n_nodes)
        profile = self._measured(nodes, self.n_final_points, paths)
        self.straight_profiles[paths] = profile
        barrier = barrier_height(profile)
        problem = Problem(paths=paths, nodes=nodes, highest=highest_inner_point(nodes, profile), profile=profile)
        zeros = torch.zeros_like(paths)
        slots = Slots(
            paths=paths,
            state=self.method.init(problem),
            ends=profile[:, [0, -1]],
            best_nodes=nodes,
            best_profile=profile,
            is_confirmed=torch.ones_like(paths, dtype=torch.bool),
            best_barrier=barrier,
            straight_barrier=barrier,
            n_steps=zeros,
            n_waited=zeros,
        )
        is_point = (starts == ends).flatten(1).all(1)
        return self._without(
            slots,
            {
                SearchOutcome.NON_FINITE: ~profile.isfinite().all(1),
                SearchOutcome.NO_LENGTH: is_point,
                SearchOutcome.NO_BARRIER: barrier <= self.settings.flat,
            },
        )

    def _advanced(self, slots: Slots) -> Slots | None:
        """One step of every path that can pay for it, and the measurement where one is due."""
        cost = self.method.step_cost(slots.state) + self._look_cost
        spent = self.landscape.spent.to(slots.paths.device)[slots.paths]
        remaining = self._without(slots, {SearchOutcome.OUT_OF_BUDGET: spent + cost > self.settings.budget})
        if remaining is None:
            return None
        state = self.method.step(remaining.state, self.landscape)
        slots = dataclasses.replace(remaining, state=state, n_steps=remaining.n_steps + 1)
        next_cost = self.method.step_cost(state) + 2 * self._look_cost
        is_last = self.landscape.spent.to(slots.paths.device)[slots.paths] + next_cost > self.settings.budget
        is_done = self.method.is_done(state)
        is_finite = self.method.is_finite(state)
        is_due = (slots.n_steps % self.settings.check_every == 0) | is_done | is_last
        slots, is_finite = self._checked(slots, is_due & is_finite, is_finite)
        return self._without(
            slots,
            {
                SearchOutcome.NON_FINITE: ~is_finite,
                SearchOutcome.FLATTENED: slots.best_barrier <= self.settings.flat,
                SearchOutcome.CONVERGED: is_done,
                SearchOutcome.STALLED: slots.n_waited >= self.settings.patience,
            },
        )

    def _checked(
        self, slots: Slots, is_due: Bool[Tensor, " path"], is_finite: Bool[Tensor, " path"]
    ) -> tuple[Slots, Bool[Tensor, " path"]]:
        """Measure the paths that are due, and keep what is better; also says which are still finite."""
        rows = is_due.nonzero()[:, 0]
        if len(rows) == 0:
            return slots, is_finite
        nodes = self.method.nodes(rows_of(slots.state, rows))
        barrier, profile, is_confirmed = self._looked_at(nodes, slots, rows)
        best = slots.best_barrier[rows]
        is_better = barrier < best
        has_progressed = barrier < best - self.settings.improvement * slots.straight_barrier[rows]
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
        coarse = self._measured(nodes, self.n_points, slots.paths[rows], slots.ends[rows])
        # A value that is not a number makes the barrier none either: maxima pass NaN on, and inf - x is inf.
        barrier = torch.where(coarse.isfinite().all(1), barrier_height(coarse), torch.nan)
        if self.n_points == self.n_final_points:
            return barrier, coarse, torch.ones_like(rows, dtype=torch.bool)
        looks_flat = barrier <= self.settings.flat
        fine = self._finely_measured(nodes[looks_flat], slots.paths[rows[looks_flat]], slots.ends[rows[looks_flat]])
        where = looks_flat.nonzero()[:, 0]
        return (
            barrier.index_copy(0, where, torch.where(fine.isfinite().all(1), barrier_height(fine), torch.nan)),
            slots.best_profile[rows].index_copy(0, where, fine),
            looks_flat,
        )

    def _finely_measured(self, nodes: Nodes, paths: Tensor, ends: Tensor) -> Float[Tensor, "path point"]:
        return self._measured(nodes, self.n_final_points, paths, ends)

    def _measured(
        self, nodes: Nodes, n_points: int, paths: Tensor, ends: Tensor | None = None
    ) -> Float[Tensor, "path point"]:
        """The potential along each path, a pass of paths at a time; that of the ends is not measured twice."""
        left_out = 0 if ends is None else 1
        size = max(1, self.landscape.points_per_pass // n_points)
        profiles = [torch.zeros(0, n_points - 2 * left_out).to(nodes)]
        for part, on_paths in zip(torch.split(nodes, size), torch.split(paths, size), strict=True):
            points, _ = sample_path(part, n_points)
            points = points[:, left_out : n_points - left_out]
            on_points = on_paths.repeat_interleave(points.shape[1])
            profiles.append(self.landscape.values(points.flatten(0, 1), on_points).view(points.shape[:2]))
        inner = torch.cat(profiles)
        return inner if ends is None else torch.cat([ends[:, :1], inner, ends[:, 1:]], 1)

    def _without(self, slots: Slots, finished: dict[SearchOutcome, Bool[Tensor, " path"]]) -> Slots | None:
        """Write down the paths that are finished, the first outcome that holds being theirs; keep the others."""
        is_finished = torch.zeros_like(slots.paths, dtype=torch.bool)
        for outcome, holds in finished.items():
            for path in slots.paths[holds & ~is_finished].tolist():
                self.outcomes[path] = outcome
            is_finished = is_finished | holds
        if not is_finished.any():
            return slots
        self._write(rows_of(slots, is_finished.nonzero()[:, 0]))
        kept = (~is_finished).nonzero()[:, 0]
        return rows_of(slots, kept) if len(kept) else None

    def _write(self, done: Slots) -> None:
        """Measure finely what has been measured coarsely alone, and keep it unless the straight path was lower."""
        rows = (~done.is_confirmed).nonzero()[:, 0]
        fine = self._finely_measured(done.best_nodes[rows], done.paths[rows], done.ends[rows])
        profiles = done.best_profile.index_copy(0, rows, fine)
        is_lower = barrier_height(profiles) <= done.straight_barrier
        straight = straight_nodes(self.starts[done.paths], self.ends[done.paths], self.method.n_nodes)
        self.nodes[done.paths] = torch.where(is_lower[:, None, None, None, None], done.best_nodes, straight)
        self.profiles[done.paths] = torch.where(is_lower[:, None], profiles, self.straight_profiles[done.paths])
        self.n_steps[done.paths.cpu()] = done.n_steps.cpu()
