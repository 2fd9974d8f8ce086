"""What all attacks that follow a gradient share: the ball, the steps, and the best iterate of each image."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from detector.balls import within
from detector.detector import JointOutputs
from detector.evaluation.adaptive.joint import AdaptiveAttack, Joint
from detector.potentials import log_odds_against, margin
from detector.types import Images, Labels

Look = Callable[[Images], tuple[Tensor, JointOutputs]]
"""Iterates → (direction to walk against, about one pixel unit a pixel; what the attacker sees there)."""

FIRST_STEP, LAST_STEP = 0.25, 0.01
"""Lengths of the first and the last step, in radii; in between they shrink evenly."""


class BestIterates:
    """Of each image the iterate that reached its target with the lowest score; until one has, the nearest to that."""

    def __init__(self, images: Images) -> None:
        self.images = images.clone()
        self._reached = torch.zeros(len(images), dtype=torch.bool, device=images.device)
        self._scores = torch.full((len(images),), torch.inf, device=images.device)
        self._losses = self._scores.clone()

    def offer(self, images: Images, outputs: JointOutputs, targets: Labels) -> None:
        """Take those images that are better than what was there; a score that is not a number never is."""
        logits, scores = outputs.logits.detach(), outputs.scores.detach()
        scores = torch.where(scores.isnan(), torch.inf, scores)
        reached, losses = margin(logits, targets) > 0, log_odds_against(logits, targets)
        is_first = reached & ~self._reached
        is_lower = reached & (scores < self._scores)
        is_nearer = ~reached & ~self._reached & (losses < self._losses)
        better = is_first | is_lower | is_nearer
        self.images = torch.where(better[:, None, None, None], images.detach(), self.images)
        self._losses = torch.where(better, losses, self._losses)
        self._scores = torch.where(better & reached, scores, self._scores)
        self._reached |= reached


Direction = Callable[[Joint, Images, Labels, Generator], tuple[Tensor, JointOutputs]]
"""(what is attacked, iterates, targets, random numbers) → as `Look`."""


def descending(radius: float, steps: int, direction: Direction) -> AdaptiveAttack:
    """The attack that walks against a direction; the true labels do not matter to it."""

    def attack(joint: Joint, images: Images, _labels: Labels, targets: Labels, generator: Generator) -> Images:
        return descend(images, targets, radius, steps, lambda at: direction(joint, at, targets, generator))

    return attack


def descend(images: Images, targets: Labels, radius: float, steps: int, look: Look) -> Images:
    """Walk against the looks' directions within the L∞ ball and [0, 1]; the best iterate of each image.

    Costs `steps + 1` looks.
    """
    best, attacked = BestIterates(images), images
    for step in range(steps):
        direction, outputs = look(attacked)
        best.offer(attacked, outputs, targets)
        attacked = within(attacked - step_length(radius, step, steps) * direction, images, radius)
    _, outputs = look(attacked)
    best.offer(attacked, outputs, targets)
    return best.images


def step_length(radius: float, step: int, steps: int) -> float:
    """Long steps first to cross the ball, short ones last to settle on the boundary between the two objectives."""
    return radius * (FIRST_STEP + (LAST_STEP - FIRST_STEP) * step / max(1, steps - 1))


def gradient_of(values: Tensor, pixels: Images, keep_graph: bool = False) -> Tensor:
    """Gradient of one value an image; zero where it is not a number, so that a step never leaves the numbers."""
    (gradient,) = torch.autograd.grad(values.sum(), pixels, retain_graph=keep_graph)
    return gradient.nan_to_num(0, 0, 0)
