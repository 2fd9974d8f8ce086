"""Orthogonal PGD (Bryniarski et al. 2021, arXiv 2106.15023): a step for one objective that leaves the other alone."""

import torch
from torch import Generator, Tensor

from detector.detector import JointOutputs
from detector.evaluation.adaptive.descent import descending, gradient_of
from detector.evaluation.adaptive.joint import AdaptiveAttack, Joint
from detector.potentials import log_odds_against, margin
from detector.types import Images, Labels

NOTHING_LEFT = 1e-5
"""Share of a gradient's length below which its orthogonal part is rounding."""


def orthogonal(radius: float, steps: int) -> AdaptiveAttack:
    """As Selective PGD, but what would move the other objective, to first order, is taken out of each step.

    Args:
        radius: L∞, pixel units of [0, 1].
    """
    return descending(radius, steps, orthogonal_direction)


@torch.enable_grad()
def orthogonal_direction(
    joint: Joint, attacked: Images, targets: Labels, generator: Generator
) -> tuple[Tensor, JointOutputs]:
    """Direction of one pixel unit a pixel in the mean square, and what the attacker sees there.

    Signs of its entries, as other L∞ steps take, would turn it back towards the other objective's gradient.
    """
    pixels = attacked.detach().requires_grad_(True)
    outputs = joint.joint(pixels, targets, generator)
    towards_target = gradient_of(log_odds_against(outputs.logits, targets), pixels, keep_graph=True)
    past_detector = gradient_of(outputs.scores, pixels)
    is_reached = (margin(outputs.logits, targets) > 0)[:, None, None, None]
    chosen = torch.where(is_reached, past_detector, towards_target)
    other = torch.where(is_reached, towards_target, past_detector)
    direction = without(chosen, other)
    size = _root_mean_square(direction)
    # Where the two gradients are parallel nothing but rounding is left, and no step leaves the other objective alone.
    is_something = size > NOTHING_LEFT * _root_mean_square(chosen)
    seen = JointOutputs(logits=outputs.logits.detach(), scores=outputs.scores.detach())
    return torch.where(is_something, direction / size.clamp_min(1e-30), 0.0), seen


def without(gradients: Tensor, others: Tensor) -> Tensor:
    """The part of each gradient that is orthogonal to the other of the same image; all of it where that is zero."""
    flat, other = gradients.flatten(1), others.flatten(1)
    unit = other / other.norm(dim=1, keepdim=True).clamp_min(1e-20)
    remainder: Tensor = flat - (flat * unit).sum(1, keepdim=True) * unit
    return remainder.view_as(gradients)


def _root_mean_square(gradients: Tensor) -> Tensor:
    return gradients.square().flatten(1).mean(1).sqrt()[:, None, None, None]
