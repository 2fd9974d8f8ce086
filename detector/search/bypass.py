"""The bypass of Vrabel et al. (ICLR 2025, arXiv 2409.05800): the highest point moves sideways, then both legs bend."""

import dataclasses

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from detector.search.descent import Moments, adam_step, no_moments
from detector.search.geometry import Nodes, along_plane, into_plane_and_box, roughness
from detector.search.landscape import GRADIENT_COST, Landscape
from detector.search.method import Problem
from detector.types import DetectorError


@dataclasses.dataclass(frozen=True, kw_only=True)
class BypassState:
    """Paths whose nodes stand on 2^depth pieces; nodes of levels not reached yet lie straight between their legs.

    Attributes:
        anchors: where each node stood when its turn came; planes and the deviation penalty go through them.
        is_open: nodes that still move at the present level.
        level: 1 for the first bend, which has the whole chord as its leg.
        n_steps: steps taken at the present level.
        floor: the higher end of the path; a node below it has nothing left to gain.
    """

    paths: Int64[Tensor, " path"]
    nodes: Nodes
    anchors: Nodes
    moments: Moments
    is_open: Bool[Tensor, "path node"]
    level: Int64[Tensor, " path"]
    n_steps: Int64[Tensor, " path"]
    floor: Float[Tensor, " path"]
    finite: Bool[Tensor, " path"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bypass:
    """Moves the highest point B of the chord A→C within the plane through B orthogonal to it, to a lower point B′.

    Gradient *and* Adam's step are projected on that plane: the step of a projected gradient leaves it, since Adam
    scales every pixel on its own. The legs A→B′ and B′→C are then bent in the same way, to the depth given.

    Attributes:
        depth: 1 bends the path once, 2 also its two legs, and so on.
        rate: Adam's learning rate, in pixels of [0, 1].
        steps_per_level: steps after which the next level begins, at the latest.
        deviation: weight of the mean squared distance to B.
        high_frequency: weight of the roughness of the move from B.
        probes: inner points of a leg that are tried for its highest.
    """

    depth: int = 1
    rate: float = 0.01
    steps_per_level: int = 32
    deviation: float = 1.0
    high_frequency: float = 1.0
    probes: int = 3

    def __post_init__(self) -> None:
        if self.depth < 1 or self.steps_per_level < 1 or self.probes < 1:
            raise DetectorError(
                f"a bypass of depth {self.depth} with {self.steps_per_level} steps a level and {self.probes} probes a "
                "leg goes nowhere; each must be at least 1"
            )

    @property
    def n_nodes(self) -> int:
        """Corners of a path, ends included."""
        return (1 << self.depth) + 1

    def init(self, problem: Problem) -> BypassState:
        """The first bend starts at the highest measured point of the chord."""
        middle = self.n_nodes // 2
        nodes = _straightened(problem.nodes, middle, problem.highest)
        is_open = torch.zeros(nodes.shape[:2], dtype=torch.bool, device=nodes.device)
        is_open[:, middle] = True
        return BypassState(
            paths=problem.paths,
            nodes=nodes,
            anchors=nodes,
            moments=_fresh(nodes),
            is_open=is_open,
            level=torch.ones_like(problem.paths),
            n_steps=torch.zeros_like(problem.paths),
            floor=problem.ground,
            finite=torch.ones_like(problem.paths, dtype=torch.bool),
        )

    def step_cost(self, state: BypassState) -> Int64[Tensor, " path"]:
        """A gradient at every open node; where the next level begins, that and the probing of each of its legs."""
        n_legs = 2**state.level
        return torch.where(
            self._is_over(state) & (state.level < self.depth),
            (GRADIENT_COST + self.probes) * n_legs,
            GRADIENT_COST * state.is_open.sum(1),
        )

    def step(self, state: BypassState, landscape: Landscape) -> BypassState:
        """Move the open nodes; paths whose level is over go one level down first."""
        state = self._deepened(state, self._is_over(state) & (state.level < self.depth), landscape)
        path, node = state.is_open.nonzero(as_tuple=True)
        points, anchors = state.nodes[path, node], state.anchors[path, node]
        normals = self._chords(state, path, node)
        values, gradients = landscape.gradients(points, state.paths[path])
        gradients = along_plane(gradients + self._penalty_gradients(points - anchors), normals)
        moments = Moments(
            first=state.moments.first[path, node],
            second=state.moments.second[path, node],
            n_steps=state.moments.n_steps[path, node],
        )
        moments, moves = adam_step(moments, gradients, self.rate)
        moved = into_plane_and_box(points + along_plane(moves, normals), normals, anchors)
        is_low = values <= state.floor[path]
        moved = torch.where(is_low[:, None, None, None], points, moved)
        return self._placed(state, path, node, moved, moments, is_low, values.isfinite() & _finite_rows(gradients))

    def _placed(
        self,
        state: BypassState,
        path: Tensor,
        node: Tensor,
        moved: Tensor,
        moments: Moments,
        is_low: Tensor,
        is_finite: Tensor,
    ) -> BypassState:
        where = (path, node)
        finite = torch.ones_like(state.finite).index_put((path[~is_finite],), torch.tensor(False, device=path.device))
        return dataclasses.replace(
            state,
            nodes=self._relaxed(state.nodes.index_put(where, moved), state.level),
            moments=Moments(
                first=state.moments.first.index_put(where, moments.first),
                second=state.moments.second.index_put(where, moments.second),
                n_steps=state.moments.n_steps.index_put(where, moments.n_steps),
            ),
            is_open=state.is_open.index_put(where, ~is_low),
            n_steps=state.n_steps + 1,
            finite=finite,
        )

    def nodes(self, state: BypassState) -> Nodes:
        """The paths as they stand."""
        return state.nodes

    def is_done(self, state: BypassState) -> Bool[Tensor, " path"]:
        """The last level is over: its steps are used up, or every node is as low as the higher end."""
        return self._is_over(state) & (state.level >= self.depth)

    def is_finite(self, state: BypassState) -> Bool[Tensor, " path"]:
        """Which paths have met nothing but numbers in their last step."""
        return state.finite

    def _is_over(self, state: BypassState) -> Bool[Tensor, " path"]:
        return ~state.is_open.any(1) | (state.n_steps >= self.steps_per_level)

    def _strides(self, level: Tensor) -> Tensor:
        return 2 ** (self.depth - level)

    def _chords(self, state: BypassState, path: Tensor, node: Tensor) -> Tensor:
        stride = self._strides(state.level[path])
        return state.anchors[path, node + stride] - state.anchors[path, node - stride]

    def _relaxed(self, nodes: Nodes, level: Tensor) -> Nodes:
        """Nodes that have not had their turn, put back on the straight line of their leg."""
        for deeper in range(2, self.depth + 1):
            stride = 2 ** (self.depth - deeper)
            inner = torch.arange(stride, self.n_nodes - 1, 2 * stride, device=nodes.device)
            midway = (nodes[:, inner - stride] + nodes[:, inner + stride]) / 2
            waits = (level < deeper)[:, None, None, None, None]
            nodes = nodes.index_copy(1, inner, torch.where(waits, midway, nodes[:, inner]))
        return nodes

    def _deepened(self, state: BypassState, is_due: Tensor, landscape: Landscape) -> BypassState:
        """Begin the next level: on each leg the highest of a few points opens, unless none rises above the floor."""
        rows = is_due.nonzero()[:, 0]
        if len(rows) == 0:
            return state
        level = state.level.index_put((rows,), state.level[rows] + 1)
        nodes, is_open = state.nodes.clone(), torch.where(is_due[:, None], False, state.is_open)
        for at in range(2, self.depth + 1):
            here = rows[level[rows] == at]
            if len(here) == 0:
                continue
            stride = 2 ** (self.depth - at)
            inner = torch.arange(stride, self.n_nodes - 1, 2 * stride, device=nodes.device)
            found, is_high = self._highest(nodes[here], inner, stride, state.paths[here], state.floor[here], landscape)
            nodes[here[:, None], inner] = found
            is_open[here[:, None], inner] = is_high
        nodes = self._relaxed(nodes, level)
        restart = is_due[:, None]
        return dataclasses.replace(
            state,
            nodes=nodes,
            anchors=torch.where(restart[..., None, None, None], nodes, state.anchors),
            is_open=is_open,
            level=level,
            n_steps=torch.where(is_due, 0, state.n_steps),
        )

    def _highest(
        self, nodes: Nodes, inner: Tensor, stride: int, paths: Tensor, floor: Tensor, landscape: Landscape
    ) -> tuple[Tensor, Tensor]:
        """The highest of the probed points of each leg, shape (path, leg, …), and whether it is above the floor."""
        mixing = torch.arange(1, self.probes + 1, device=nodes.device) / (self.probes + 1)
        weights = mixing.to(nodes.dtype)[None, None, :, None, None, None]
        probes = torch.lerp(nodes[:, inner - stride, None], nodes[:, inner + stride, None], weights)
        n_each = probes.shape[1] * probes.shape[2]
        values = landscape.values(probes.flatten(0, 2), paths.repeat_interleave(n_each)).view(probes.shape[:3])
        best = values.argmax(2)
        row, leg = (torch.arange(n, device=nodes.device) for n in best.shape)
        return probes[row[:, None], leg, best], values.amax(2) > floor[:, None]

    def _penalty_gradients(self, moves: Tensor) -> Tensor:
        with torch.enable_grad():
            moves = moves.detach().requires_grad_(True)
            penalty = self.deviation * moves.square().flatten(1).mean(1) + self.high_frequency * roughness(moves)
            (gradients,) = torch.autograd.grad(penalty.sum(), moves)
        return gradients


def _fresh(nodes: Nodes) -> Moments:
    """No moments for any node, one clock a node."""
    flat = no_moments(nodes.flatten(0, 1))
    return Moments(
        first=torch.zeros_like(nodes), second=torch.zeros_like(nodes), n_steps=flat.n_steps.view(nodes.shape[:2])
    )


def _straightened(nodes: Nodes, middle: int, bend: Tensor) -> Nodes:
    """Two straight legs through the bend, nodes equally far from one another on each."""
    share = torch.linspace(0, 1, middle + 1, dtype=nodes.dtype, device=nodes.device)[None, :, None, None, None]
    first = torch.lerp(nodes[:, :1], bend[:, None], share)
    second = torch.lerp(bend[:, None], nodes[:, -1:], share)
    return torch.cat([first, second[:, 1:]], 1)


def _finite_rows(values: Tensor) -> Tensor:
    return values.isfinite().flatten(1).all(1)
