"""Fast inertial relaxation (FIRE; Bitzek et al. 2006), one clock and one time step for each path."""

import dataclasses

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from detector.search.geometry import Nodes


@dataclasses.dataclass(frozen=True, kw_only=True)
class FireSettings:
    """The paper's constants; times and lengths in units where a unit force moves a node by its time step squared.

    Attributes:
        first_step, largest_step: time step at the start, and at most.
        longest_move: by which one path may move in a step, L2 over its nodes and pixels, in pixel units.
    """

    first_step: float = 0.1
    largest_step: float = 1.0
    longest_move: float = 0.2
    wait: int = 5
    growth: float = 1.1
    shrink: float = 0.5
    mixing: float = 0.1
    mixing_decay: float = 0.99


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fire:
    """How each path moves; time step and mixing by path, and steps since it last ran uphill."""

    velocity: Nodes
    time_step: Float[Tensor, " path"]
    mixing: Float[Tensor, " path"]
    downhill: Int64[Tensor, " path"]


def no_motion(nodes: Nodes, settings: FireSettings) -> Fire:
    """Every path at rest."""
    ones = torch.ones(len(nodes), dtype=nodes.dtype, device=nodes.device)
    return Fire(
        velocity=torch.zeros_like(nodes),
        time_step=settings.first_step * ones,
        mixing=settings.mixing * ones,
        downhill=torch.zeros(len(nodes), dtype=torch.int64, device=nodes.device),
    )


def fire_step(motion: Fire, forces: Nodes, settings: FireSettings) -> tuple[Fire, Nodes]:
    """The next motion, and the move that goes with it, to be added to the nodes."""
    is_downhill = (forces * motion.velocity).flatten(1).sum(1) > 0
    is_long = is_downhill & (motion.downhill > settings.wait)
    time_step = torch.where(
        is_long, (motion.time_step * settings.growth).clamp_max(settings.largest_step), motion.time_step
    )
    mixing = torch.where(is_long, motion.mixing * settings.mixing_decay, motion.mixing)
    is_moving = motion.velocity.flatten(1).any(1)
    turns = ~is_downhill & is_moving
    time_step = torch.where(turns, time_step * settings.shrink, time_step)
    mixing = torch.where(is_downhill, mixing, torch.full_like(mixing, settings.mixing))
    speed = _length(motion.velocity) / _length(forces).clamp_min(1e-30)
    steered = _wide(1 - mixing) * motion.velocity + _wide(mixing) * speed * forces
    velocity = torch.where(_wide(is_downhill), steered, torch.zeros_like(steered)) + _wide(time_step) * forces
    move = _wide(time_step) * velocity
    move = move * (settings.longest_move / _length(move).clamp_min(1e-30)).clamp_max(1)
    moved = Fire(
        velocity=velocity,
        time_step=time_step,
        mixing=mixing,
        downhill=torch.where(is_downhill, motion.downhill + 1, torch.zeros_like(motion.downhill)),
    )
    return moved, move


def _length(nodes: Nodes) -> Tensor:
    """Length over all nodes and pixels of a path, those axes kept."""
    return _wide(nodes.flatten(1).norm(dim=1))


def _wide(values: Tensor) -> Tensor:
    return values[:, None, None, None, None]
