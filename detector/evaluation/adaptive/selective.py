"""Selective PGD (Bryniarski et al. 2021, arXiv 2106.15023): one objective at a time; neither outweighs the other."""

import torch
from torch import Generator, Tensor

from detector.detector import JointOutputs
from detector.evaluation.adaptive.descent import descending, gradient_of
from detector.evaluation.adaptive.joint import AdaptiveAttack, Joint
from detector.potentials import log_odds_against, margin
from detector.types import Images, Labels


def selective(radius: float, steps: int) -> AdaptiveAttack:
    """Towards the target where the classifier is not yet fooled, else down the detector's score.

    Args:
        radius: L∞, pixel units of [0, 1].
    """

    def direction(joint: Joint, attacked: Images, targets: Labels, generator: Generator) -> tuple[Tensor, JointOutputs]:
        gradient, outputs = selected_gradient(joint, attacked, targets, generator)
        return gradient.sign(), outputs

    return descending(radius, steps, direction)


@torch.enable_grad()
def selected_gradient(
    joint: Joint, attacked: Images, targets: Labels, generator: Generator
) -> tuple[Tensor, JointOutputs]:
    """Gradient of the one objective that each image still has to meet, and what the attacker sees there."""
    pixels = attacked.detach().requires_grad_(True)
    outputs = joint.joint(pixels, targets, generator)
    is_reached = margin(outputs.logits, targets) > 0
    # Rows are independent, so that one backward pass serves both objectives.
    values = torch.cat([log_odds_against(outputs.logits, targets)[~is_reached], outputs.scores[is_reached]])
    gradient = gradient_of(values, pixels)
    return gradient, JointOutputs(logits=outputs.logits.detach(), scores=outputs.scores.detach())
