"""Square attack (Andriushchenko et al. 2020, arXiv 1912.00049) on the joint objective: scores only, no gradient."""

import math

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from detector.balls import within
from detector.evaluation.adaptive.joint import AdaptiveAttack, Joint, objective
from detector.types import Images, Labels

FIRST_SHARE = 0.8
"""Share of the image that the first squares cover."""

HALVINGS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
"""Shares of the budget after which squares cover half as much as before."""


def square(radius: float, queries: int) -> AdaptiveAttack:
    """Stripes first, then random squares of one colour, at corners of the ball; kept where they lower the objective.

    An image whose objective has come to 0 is asked about no more.

    Args:
        radius: L∞, pixel units of [0, 1].
        queries: images that the attacker may ask about, for each image attacked, itself included; at least 2.
    """

    @torch.no_grad()
    def attack(joint: Joint, images: Images, _labels: Labels, targets: Labels, generator: Generator) -> Images:
        def judged(candidates: Images, rows: Tensor) -> Tensor:
            outputs = joint.joint(candidates, targets[rows], generator)
            return objective(outputs, targets[rows], joint.threshold).nan_to_num(torch.inf)

        everyone = torch.arange(len(images), device=images.device)
        attacked, losses = images.clone(), judged(images, everyone)
        striped = within(images + radius * _stripes(images, generator), images, radius)
        _keep_lower(attacked, losses, everyone, striped, judged(striped, everyone))
        for query in range(2, queries):
            rows = (losses > 0).nonzero()[:, 0]
            if len(rows) == 0:
                break
            marked = _with_square(attacked[rows], images[rows], radius, covered(query / queries), generator)
            _keep_lower(attacked, losses, rows, marked, judged(marked, rows))
        return attacked

    return attack


def covered(spent: float) -> float:
    """Share of the image that a square covers once so much of the budget is spent."""
    return FIRST_SHARE * 0.5 ** sum(spent > mark for mark in HALVINGS)


def _keep_lower(
    attacked: Images,
    losses: Float[Tensor, " image"],
    rows: Int64[Tensor, " candidate"],
    candidates: Float[Tensor, "candidate channel height width"],
    found: Float[Tensor, " candidate"],
) -> None:
    """Put those candidates in the place of these rows that have a lower objective."""
    is_lower = found < losses[rows]
    attacked[rows[is_lower]], losses[rows[is_lower]] = candidates[is_lower], found[is_lower]


def _stripes(images: Images, generator: Generator) -> Tensor:
    """Columns of +1 or -1, each colour on its own: what convolutions are most easily moved by."""
    shape = (len(images), images.shape[1], 1, images.shape[3])
    return _signs(shape, generator).to(images.device).expand_as(images)


def _with_square(attacked: Images, images: Images, radius: float, share: float, generator: Generator) -> Images:
    """The iterates with a square of pixels moved to one corner of the ball, a sign for each colour."""
    n_images, channels, height, width = images.shape
    side = min(max(1, round(math.sqrt(share * height * width))), height, width)
    top = torch.randint(height - side + 1, (n_images, 1), generator=generator)
    left = torch.randint(width - side + 1, (n_images, 1), generator=generator)
    rows, columns = torch.arange(height) - top, torch.arange(width) - left
    inside_rows, inside_columns = (rows >= 0) & (rows < side), (columns >= 0) & (columns < side)
    inside = (inside_rows[:, :, None] & inside_columns[:, None, :])[:, None].to(images.device)
    colours = _signs((n_images, channels, 1, 1), generator).to(images.device)
    return torch.where(inside, within(images + radius * colours, images, radius), attacked)


def _signs(shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.randint(2, shape, generator=generator) * 2.0 - 1
