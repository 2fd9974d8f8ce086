"""Curves with trainable bends (Garipov et al. 2018, arXiv 1802.10026): polygonal chain and Bézier curve."""

import dataclasses
from collections.abc import Callable
from math import comb

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from detector.search.descent import Moments, adam_step, no_moments
from detector.search.geometry import Nodes, straight_nodes
from detector.search.landscape import GRADIENT_COST, Landscape
from detector.search.method import Problem
from detector.types import DetectorError

Weights = Float[Tensor, "point control"]

GOLDEN = 0.6180339887498949
"""Steps of this share of the unit interval fill it more evenly than chance does."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CurveState:
    """Curves by their control points, ends included."""

    paths: Int64[Tensor, " path"]
    controls: Nodes
    moments: Moments
    n_steps: Int64[Tensor, " path"]
    finite: Bool[Tensor, " path"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curve:
    """Moves the bends of a curve so that the potential expected along it falls.

    The expectation over t, uniform in [0, 1], is taken by a few equally spaced t, shifted at every step by the golden
    ratio; every path meets the same t at the same step, whatever runs beside it.

    Attributes:
        weights: maps positions t, shape (point,), to the weight of each control point there.
        n_bends: control points between the ends.
        n_nodes: corners of the polygon that stands for the curve.
        rate: Adam's learning rate, in pixels of [0, 1].
        samples: positions t in each step.
        steps: after which the curve is at rest.
    """

    weights: Callable[[Float[Tensor, " point"]], Weights]
    n_bends: int
    n_nodes: int
    rate: float = 0.01
    samples: int = 4
    steps: int = 64

    def __post_init__(self) -> None:
        if min(self.n_bends, self.samples, self.steps) < 1 or self.n_nodes < 3:
            raise DetectorError(
                f"a curve with {self.n_bends} bends, {self.n_nodes} nodes, {self.samples} samples and {self.steps} "
                "steps cannot be trained; give at least 1 of each, and 3 nodes"
            )

    def init(self, problem: Problem) -> CurveState:
        """Control points equally far from one another on the chord, which is then the curve."""
        controls = straight_nodes(problem.nodes[:, 0], problem.nodes[:, -1], self.n_bends + 2)
        return CurveState(
            paths=problem.paths,
            controls=controls,
            moments=no_moments(controls[:, 1:-1]),
            n_steps=torch.zeros_like(problem.paths),
            finite=torch.ones_like(problem.paths, dtype=torch.bool),
        )

    def step_cost(self, state: CurveState) -> Int64[Tensor, " path"]:
        """A gradient at every sampled position."""
        return torch.full_like(state.paths, GRADIENT_COST * self.samples)

    def step(self, state: CurveState, landscape: Landscape) -> CurveState:
        """One step of Adam on the mean potential, clamped to [0, 1]."""
        n_paths, shape = len(state.paths), state.controls.shape[2:]
        weights = self._weights_at(state)
        flat = state.controls.flatten(2)
        points = (weights @ flat).clamp(0, 1).view(n_paths * self.samples, *shape)
        values, gradients = landscape.gradients(points, state.paths.repeat_interleave(self.samples))
        by_path = gradients.view(n_paths, self.samples, -1)
        gradient = (weights.transpose(1, 2) @ by_path / self.samples)[:, 1:-1].view(n_paths, self.n_bends, *shape)
        moments, moves = adam_step(state.moments, gradient, self.rate)
        bends = (state.controls[:, 1:-1] + moves).clamp(0, 1)
        is_finite = values.view(n_paths, -1).isfinite().all(1) & by_path.isfinite().flatten(1).all(1)
        return dataclasses.replace(
            state,
            controls=torch.cat([state.controls[:, :1], bends, state.controls[:, -1:]], 1),
            moments=moments,
            n_steps=state.n_steps + 1,
            finite=is_finite,
        )

    def nodes(self, state: CurveState) -> Nodes:
        """Corners on the curve, at equally spaced t."""
        positions = torch.linspace(0, 1, self.n_nodes, dtype=state.controls.dtype, device=state.controls.device)
        inner = self.weights(positions[1:-1]) @ state.controls.flatten(2)
        nodes = inner.view(len(inner), -1, *state.controls.shape[2:]).clamp(0, 1)
        return torch.cat([state.controls[:, :1], nodes, state.controls[:, -1:]], 1)

    def is_done(self, state: CurveState) -> Bool[Tensor, " path"]:
        """After its steps."""
        return state.n_steps >= self.steps

    def is_finite(self, state: CurveState) -> Bool[Tensor, " path"]:
        """Which paths have met nothing but numbers in their last step."""
        return state.finite

    def _weights_at(self, state: CurveState) -> Float[Tensor, "path sample control"]:
        shift = (0.5 + GOLDEN * state.n_steps.to(state.controls.dtype)) % 1
        steps = torch.arange(self.samples, dtype=shift.dtype, device=shift.device)
        positions = (steps[None] + shift[:, None]) / self.samples
        return self.weights(positions.flatten()).view(len(shift), self.samples, -1)


def polygonal_chain(n_bends: int = 3, rate: float = 0.01, samples: int = 4, steps: int = 64) -> Curve:
    """A chain of straight pieces with trainable corners."""

    def hat(positions: Float[Tensor, " point"]) -> Weights:
        place = torch.arange(n_bends + 2, dtype=positions.dtype, device=positions.device)
        return (1 - (positions[:, None] * (n_bends + 1) - place).abs()).clamp_min(0)

    return Curve(weights=hat, n_bends=n_bends, n_nodes=n_bends + 2, rate=rate, samples=samples, steps=steps)


def bezier(n_bends: int = 1, n_nodes: int = 9, rate: float = 0.02, samples: int = 4, steps: int = 64) -> Curve:
    """A Bézier curve; quadratic with one bend."""
    degree = n_bends + 1

    def bernstein(positions: Float[Tensor, " point"]) -> Weights:
        columns = [
            comb(degree, index) * positions**index * (1 - positions) ** (degree - index) for index in range(degree + 1)
        ]
        return torch.stack(columns, 1)

    return Curve(weights=bernstein, n_bends=n_bends, n_nodes=n_nodes, rate=rate, samples=samples, steps=steps)
