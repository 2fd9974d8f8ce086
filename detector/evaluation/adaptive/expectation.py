"""Selective PGD in expectation over the detector's draws (EOT; Athalye et al. 2018, arXiv 1707.07397)."""

import torch
from torch import Generator, Tensor

from detector.detector import JointOutputs
from detector.evaluation.adaptive.descent import descending
from detector.evaluation.adaptive.joint import AdaptiveAttack, Joint
from detector.evaluation.adaptive.selective import selected_gradient
from detector.types import Images, Labels


def expectation(radius: float, steps: int, draws: int) -> AdaptiveAttack:
    """Selective PGD whose gradients and scores are means over several draws of what the detector draws at random.

    Args:
        radius: L∞, pixel units of [0, 1].
        draws: of the detector's random numbers a step.
    """

    def direction(joint: Joint, attacked: Images, targets: Labels, generator: Generator) -> tuple[Tensor, JointOutputs]:
        gradient, outputs = mean_gradient(joint, attacked, targets, generator, draws)
        return gradient.sign(), outputs

    return descending(radius, steps, direction)


def mean_gradient(
    joint: Joint, attacked: Images, targets: Labels, generator: Generator, draws: int
) -> tuple[Tensor, JointOutputs]:
    """The selected gradient, and what the attacker sees, each a mean over independent draws."""
    seen = [selected_gradient(joint, attacked, targets, generator) for _ in range(draws)]
    outputs = JointOutputs(
        logits=torch.stack([outputs.logits for _, outputs in seen]).mean(0),
        scores=torch.stack([outputs.scores for _, outputs in seen]).mean(0),
    )
    return torch.stack([gradient for gradient, _ in seen]).mean(0), outputs
