"""Nudged elastic band, with a climbing node and with nodes put in where they are missed.

Jónsson, Mills & Jacobsen 1998; improved tangents: Henkelman & Jónsson 2000 (doi 10.1063/1.1323224); climbing:
Henkelman, Uberuaga & Jónsson 2000 (doi 10.1063/1.1329672); on networks, with insertion: Draxler et al. 2018
(arXiv 1803.00885). The band is brought to rest by FIRE (Bitzek et al. 2006, doi 10.1103/PhysRevLett.97.170201).
"""

import dataclasses
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from detector.search.fire import Fire, FireSettings, fire_step, no_motion
from detector.search.geometry import Nodes, dot, norm, straight_nodes
from detector.search.landscape import GRADIENT_COST, Landscape
from detector.search.method import Problem
from detector.search.tangents import tangents_along
from detector.types import DetectorError


@dataclasses.dataclass(frozen=True, kw_only=True)
class BandState:
    """Bands of up to as many nodes as the method allows; the places that are free repeat the end.

    Attributes:
        count: nodes of each band, ends included.
        values: the potential at the nodes when they were last looked at.
        is_complete: whether no node was missed when that was last looked at.
        force: largest force on a node in the last step, in units of the potential per pixel unit.
    """

    paths: Int64[Tensor, " path"]
    nodes: Nodes
    count: Int64[Tensor, " path"]
    values: Float[Tensor, "path node"]
    motion: Fire
    n_steps: Int64[Tensor, " path"]
    since_insertion: Int64[Tensor, " path"]
    is_complete: Bool[Tensor, " path"]
    force: Float[Tensor, " path"]
    finite: Bool[Tensor, " path"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ElasticBand:
    """Nodes slide down across the path, springs keep them apart along it, and the highest climbs to the pass.

    Attributes:
        first_nodes: nodes that a band begins with, ends included.
        n_nodes: nodes that it may grow to; as many as it begins with for a band that does not grow.
        spring: force along the path per pixel unit by which a node's two neighbours differ in distance.
        climb_after: steps after which the highest node climbs; None for a band that does not climb.
        tolerance: largest force at which a band is at rest, in units of the potential per pixel unit.
        insert_every: steps between two insertions.
        excess: a node is put in where the potential between two nodes exceeds their mean by this share of the
            band's whole rise.
        steps: after which a band stops whatever its forces.
    """

    first_nodes: int = 9
    n_nodes: int = 9
    spring: float = 1.0
    climb_after: int | None = 20
    tolerance: float = 0.01
    insert_every: int = 10
    excess: float = 0.2
    steps: int = 200
    fire: FireSettings = dataclasses.field(default_factory=FireSettings)

    def __post_init__(self) -> None:
        if not 3 <= self.first_nodes <= self.n_nodes:
            raise DetectorError(
                f"a band was to begin with {self.first_nodes} nodes and grow to {self.n_nodes}; it needs its two ends "
                "and one between them, and does not shrink"
            )

    def init(self, problem: Problem) -> BandState:
        """Nodes equally far from one another on the chord."""
        start, end = problem.nodes[:, 0], problem.nodes[:, -1]
        band = straight_nodes(start, end, self.first_nodes)
        spare = end[:, None].expand(-1, self.n_nodes - self.first_nodes, -1, -1, -1)
        nodes = torch.cat([band, spare], 1)
        values = problem.profile[:, -1:].repeat(1, self.n_nodes)
        values[:, 0] = problem.profile[:, 0]
        zeros = torch.zeros_like(problem.paths)
        return BandState(
            paths=problem.paths,
            nodes=nodes,
            count=zeros + self.first_nodes,
            values=values,
            motion=no_motion(nodes, self.fire),
            n_steps=zeros,
            since_insertion=zeros,
            is_complete=torch.full_like(zeros, self.first_nodes == self.n_nodes, dtype=torch.bool),
            force=torch.full_like(problem.ground, torch.inf),
            finite=torch.ones_like(zeros, dtype=torch.bool),
        )

    def step_cost(self, state: BandState) -> Int64[Tensor, " path"]:
        """A gradient at every inner node; where one may be put in, one more, and a look between all of them."""
        may_grow = self._may_grow(state)
        return GRADIENT_COST * (state.count - 2 + may_grow.long()) + torch.where(may_grow, state.count - 1, 0)

    def step(self, state: BandState, landscape: Landscape) -> BandState:
        """Put nodes in where they are due, then move all inner ones."""
        state = self._grown(state, landscape)
        index = torch.arange(self.n_nodes, device=state.nodes.device)
        is_inner = (index > 0) & (index < state.count[:, None] - 1)
        path, node = is_inner.nonzero(as_tuple=True)
        found, slopes = landscape.gradients(state.nodes[path, node], state.paths[path])
        values = state.values.index_put((path, node), found)
        gradients = torch.zeros_like(state.nodes).index_put((path, node), slopes)
        forces = self._forces(state, values, gradients, is_inner)
        motion, moves = fire_step(state.motion, forces, self.fire)
        nodes = (state.nodes + moves).clamp(0, 1)
        is_finite = values.isfinite().all(1) & forces.isfinite().flatten(1).all(1)
        return dataclasses.replace(
            state,
            nodes=nodes,
            values=values,
            motion=dataclasses.replace(motion, velocity=motion.velocity * (nodes == state.nodes + moves)),
            n_steps=state.n_steps + 1,
            since_insertion=state.since_insertion + 1,
            force=_largest(forces),
            finite=is_finite,
        )

    def nodes(self, state: BandState) -> Nodes:
        """The bands as they stand."""
        return state.nodes

    def is_done(self, state: BandState) -> Bool[Tensor, " path"]:
        """No node is pushed any more, climbing has begun, and no node is missing; or the steps are used up."""
        begins = 0 if self.climb_after is None else self.climb_after
        is_at_rest = (state.force <= self.tolerance) & (state.n_steps > begins)
        return (is_at_rest & state.is_complete) | (state.n_steps >= self.steps)

    def is_finite(self, state: BandState) -> Bool[Tensor, " path"]:
        """Which paths have met nothing but numbers in their last step."""
        return state.finite

    def _forces(
        self, state: BandState, values: Tensor, gradients: Tensor, is_inner: Bool[Tensor, "path node"]
    ) -> Float[Tensor, "path node channel height width"]:
        """Across the path the slope downhill, along it the springs; the climbing node goes uphill along it instead."""
        tangents, before, after = tangents_along(state.nodes, values)
        along = dot(gradients, tangents)
        across = along * tangents - gradients
        forces = across + self.spring * (after - before) * tangents
        if self.climb_after is None:
            return torch.where(_wide(is_inner), forces, torch.zeros_like(forces))
        climber = values.masked_fill(~is_inner, -torch.inf).argmax(1, keepdim=True)
        climbs = torch.zeros_like(is_inner).scatter(1, climber, True) & (state.n_steps >= self.climb_after)[:, None]
        forces = torch.where(_wide(climbs), across + along * tangents, forces)
        return torch.where(_wide(is_inner), forces, torch.zeros_like(forces))

    def _may_grow(self, state: BandState) -> Bool[Tensor, " path"]:
        return (state.since_insertion >= self.insert_every) & (state.count < self.n_nodes)

    def _grown(self, state: BandState, landscape: Landscape) -> BandState:
        """One more node for each band that is due, where the potential exceeds its interpolation most."""
        rows = self._may_grow(state).nonzero()[:, 0]
        if len(rows) == 0:
            return state
        nodes, values, count = state.nodes[rows], state.values[rows], state.count[rows]
        middles = (nodes[:, :-1] + nodes[:, 1:]) / 2
        is_piece = torch.arange(self.n_nodes - 1, device=nodes.device) < count[:, None] - 1
        path, piece = is_piece.nonzero(as_tuple=True)
        between = landscape.values(middles[path, piece], state.paths[rows][path])
        excess = torch.full_like(values[:, :-1], -torch.inf).index_put(
            (path, piece), between - (values[path, piece] + values[path, piece + 1]) / 2
        )
        worst, at = excess.max(1)
        rise = values.amax(1) - values.amin(1)
        is_missed = worst > self.excess * rise
        grown = _with_node(
            state, rows[is_missed], at[is_missed] + 1, middles[is_missed, at[is_missed]], worst[is_missed]
        )
        is_complete = ~is_missed | (grown.count[rows] == self.n_nodes)
        return dataclasses.replace(
            grown,
            since_insertion=grown.since_insertion.index_fill(0, rows, 0),
            is_complete=grown.is_complete.index_copy(0, rows, is_complete),
        )


def neb(n_nodes: int = 9, **settings: Any) -> ElasticBand:
    """Nudged elastic band with a fixed number of nodes."""
    return dataclasses.replace(ElasticBand(first_nodes=n_nodes, n_nodes=n_nodes), **settings)


def auto_neb(first_nodes: int = 5, n_nodes: int = 13, **settings: Any) -> ElasticBand:
    """A band that begins with few nodes and puts more in where the potential exceeds its interpolation."""
    return dataclasses.replace(ElasticBand(first_nodes=first_nodes, n_nodes=n_nodes), **settings)


def _with_node(state: BandState, rows: Tensor, place: Tensor, middles: Tensor, excess: Tensor) -> BandState:
    """Put one node into some bands; what stands behind it moves up into the free places."""
    if len(rows) == 0:
        return state
    index = torch.arange(state.nodes.shape[1], device=rows.device)
    source = torch.where(index > place[:, None], index - 1, index)
    within = torch.arange(len(rows), device=rows.device)
    nodes = state.nodes[rows[:, None], source].index_put((within, place), middles)
    old = state.values[rows]
    values = state.values[rows[:, None], source]
    values = values.index_put((within, place), excess + (old[within, place - 1] + old[within, place]) / 2)
    velocity = state.motion.velocity.index_fill(0, rows, 0)
    return dataclasses.replace(
        state,
        nodes=state.nodes.index_copy(0, rows, nodes),
        values=state.values.index_copy(0, rows, values),
        count=state.count.index_put((rows,), state.count[rows] + 1),
        motion=dataclasses.replace(state.motion, velocity=velocity),
    )


def _largest(forces: Tensor) -> Float[Tensor, " path"]:
    return norm(forces).flatten(1).amax(1)


def _wide(values: Tensor) -> Tensor:
    return values[..., None, None, None]
