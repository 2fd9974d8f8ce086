"""Adversarial images made for calibration alone: one generic family, mostly as confident as clean images.

Projected gradient descent (Madry et al. 2018, arXiv 1706.06083) in a random ball, towards any or a given other label,
stopped where its margin reaches one that a clean image has. Without the matching a detector learns that attacks are
over- or under-confident, and fails on those that are not. A share is stopped at the boundary and a share never, so that
the head has also met what lies at either end. No attack of an evaluation is used.
"""

import dataclasses
import math

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from detector.calibration.goals import (
    Goals,
    GoalShares,
    all_labels,
    check_radii,
    check_shares,
    first_reached,
    per_image,
)
from detector.calibration.randomness import log_uniform
from detector.types import CalibrationError, Classifier, Images, Labels


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProxySettings:
    """The family that proxies are drawn from.

    Attributes:
        smallest_radius, largest_radius: L∞ radius in pixel units of [0, 1], drawn log-uniformly between them.
        l2_share: share of proxies in an L2 ball instead, half as large as the corners of the drawn L∞ ball are far.
        targeted_share: share driven towards one random other label.
        boundary_share: share stopped as soon as the classifier is fooled, without any confidence to match: attacks
            that look for the smallest perturbation end there.
        unstopped_share: share never stopped, which end surer than any clean image.
        fewest_steps, most_steps: gradient steps, drawn once a batch.
        bisections: halvings of the last step, after which the wanted confidence is met closely.
    """

    smallest_radius: float = 0.8 / 255
    largest_radius: float = 8 / 255
    l2_share: float = 0.4
    targeted_share: float = 0.5
    boundary_share: float = 0.2
    unstopped_share: float = 0.2
    fewest_steps: int = 3
    most_steps: int = 8
    bisections: int = 3

    def __post_init__(self) -> None:
        check_radii(self.smallest_radius, self.largest_radius)
        shares = (self.l2_share, self.targeted_share, self.boundary_share, self.unstopped_share)
        check_shares(shares, self.boundary_share, self.unstopped_share)
        if not 1 <= self.fewest_steps <= self.most_steps:
            raise CalibrationError(
                f"proxies were to take {self.fewest_steps} to {self.most_steps} steps; give at least 1, the fewer first"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Plan:
    """What was drawn for each image of a batch."""

    radius: Float[Tensor, " image"]
    is_l2: Bool[Tensor, " image"]
    goals: Goals
    n_steps: int

    def of(self, chosen: Tensor) -> "_Plan":
        """The plan for some of the images."""
        return _Plan(
            radius=self.radius[chosen], is_l2=self.is_l2[chosen], goals=self.goals.of(chosen), n_steps=self.n_steps
        )


def make_proxies(
    classifier: Classifier,
    images: Images,
    labels: Labels,
    clean_margins: Float[Tensor, " clean"],
    settings: ProxySettings,
    generator: Generator,
    allowed: Bool[Tensor, " label"] | None = None,
) -> tuple[Images, Bool[Tensor, " image"]]:
    """Attack every image; returns the attacked images and whether each reached another label than its own.

    Costs at most 3 forward equivalents a step, one a bisection, and one more. `clean_margins`, in logits, are those to
    be matched, `allowed` the labels that proxies may end in: all if not given.
    """
    allowed = all_labels(classifier) if allowed is None else allowed
    plan = _draw_plan(labels, allowed, clean_margins, settings, generator)
    start = torch.rand(images.shape, generator=generator).to(images.device) * 2 - 1
    attacked = _project(images + start * per_image(plan.radius) / 2, images, plan)
    before = attacked.clone()
    active = torch.arange(len(images), device=images.device)
    for _ in range(plan.n_steps):
        if len(active) == 0:
            break
        moved, is_done = _step(classifier, attacked[active], images[active], labels[active], plan.of(active))
        active = active[~is_done]
        before[active] = attacked[active]
        attacked[active] = moved[~is_done]
    # Only the last step is shortened: what came before it had not reached the goal.
    attacked = first_reached(classifier, before, attacked, labels, plan.goals, settings.bisections)
    with torch.no_grad():
        succeeded = plan.goals.is_met(classifier(attacked).logits.argmax(1), labels)
    return attacked, succeeded


def _draw_plan(
    labels: Labels, allowed: Tensor, clean_margins: Tensor, settings: ProxySettings, generator: Generator
) -> _Plan:
    uniform = torch.rand(4, len(labels), generator=generator).to(labels.device)
    shares = GoalShares(
        targeted=settings.targeted_share, boundary=settings.boundary_share, unstopped=settings.unstopped_share
    )
    goals = Goals.drawn(labels, allowed, clean_margins, shares, uniform[2:], generator)
    n_steps = torch.randint(settings.fewest_steps, settings.most_steps + 1, (1,), generator=generator)
    return _Plan(
        radius=log_uniform(settings.smallest_radius, settings.largest_radius, uniform[0]),
        is_l2=uniform[1] < settings.l2_share,
        goals=goals,
        n_steps=int(n_steps),
    )


@torch.enable_grad()  # whoever draws proxies only to measure them has gradients switched off
def _step(
    classifier: Classifier, attacked: Images, images: Images, labels: Labels, plan: _Plan
) -> tuple[Images, Bool[Tensor, " image"]]:
    """One gradient step, and which images had reached the confidence they are to have before it."""
    attacked = attacked.detach().requires_grad_(True)
    logits = classifier(attacked).logits
    (gradient,) = torch.autograd.grad(plan.goals.gain(logits, labels).sum(), attacked)
    is_done = plan.goals.has_reached(logits.detach(), labels)
    length = per_image(plan.radius * 2.5 / plan.n_steps)
    return _project(attacked.detach() + _direction(gradient, plan) * length, images, plan), is_done


def _direction(gradient: Tensor, plan: _Plan) -> Tensor:
    """Steepest ascent of unit length in the ball's norm; an L2 step is as long as the L∞ step's ball allows."""
    length = gradient.flatten(1).norm(dim=1).clamp_min(1e-12)
    l2_direction = gradient / per_image(length) * _l2_factor(gradient)
    return torch.where(per_image(plan.is_l2), l2_direction, gradient.sign())


def _project(attacked: Images, images: Images, plan: _Plan) -> Images:
    """Back into the ball around the image, and into [0, 1]."""
    difference = attacked - images
    in_box = torch.maximum(torch.minimum(difference, per_image(plan.radius)), -per_image(plan.radius))
    length = difference.flatten(1).norm(dim=1).clamp_min(1e-12)
    in_sphere = difference * per_image((plan.radius * _l2_factor(images) / length).clamp_max(1))
    return (images + torch.where(per_image(plan.is_l2), in_sphere, in_box)).clamp(0, 1)


def _l2_factor(images: Tensor) -> float:
    """L2 radius that goes with an L∞ radius of one: half the length of a perturbation that is one everywhere."""
    return 0.5 * math.sqrt(images[0].numel())
