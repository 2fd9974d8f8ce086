"""Adam with one clock for each row, so that rows may join and leave between two steps."""

import dataclasses

import torch
from jaxtyping import Float, Int64
from torch import Tensor

Moved = Float[Tensor, "row *shape"]
"""Whatever is moved, one row for each that may come and go on its own."""

FIRST_DECAY = 0.9
SECOND_DECAY = 0.999


@dataclasses.dataclass(frozen=True, kw_only=True)
class Moments:
    """Running mean of gradient and squared gradient, shaped as what is moved, and how often each row was moved.

    Where rows come in more than one axis, the clock has all of them.
    """

    first: Moved
    second: Moved
    n_steps: Int64[Tensor, "*clock"]


def no_moments(moved: Moved) -> Moments:
    """Where every row starts."""
    zeros = torch.zeros_like(moved)
    return Moments(first=zeros, second=zeros, n_steps=torch.zeros(len(moved), dtype=torch.int64, device=moved.device))


def adam_step(moments: Moments, gradient: Moved, rate: float) -> tuple[Moments, Moved]:
    """The step that Adam (Kingma & Ba 2015, arXiv 1412.6980) takes, to be added, and the moments after it."""
    n_steps = moments.n_steps + 1
    first = torch.lerp(gradient, moments.first, FIRST_DECAY)
    second = torch.lerp(gradient.square(), moments.second, SECOND_DECAY)
    clock = n_steps.view(-1, *[1] * (gradient.ndim - 1)).to(gradient.dtype)
    mean = first / (1 - FIRST_DECAY**clock)
    deviation = (second / (1 - SECOND_DECAY**clock)).sqrt()
    # A gradient of exactly zero gives no step, not 0/0.
    return Moments(first=first, second=second, n_steps=n_steps), -rate * mean / (deviation + 1e-8)
