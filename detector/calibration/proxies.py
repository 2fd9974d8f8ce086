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

from detector.calibration.randomness import log_uniform
from detector.potentials import log_odds_against, margin
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
        if not 0 < self.smallest_radius <= self.largest_radius <= 1:
            raise CalibrationError(
                f"the sizes of the proxies run from {self.smallest_radius} to {self.largest_radius}; "
                "give a smaller and a larger one between 0 and 1, e.g. 0.003 and 0.03"
            )
        shares = (self.l2_share, self.targeted_share, self.boundary_share, self.unstopped_share)
        if min(shares) < 0 or max(shares) > 1 or self.boundary_share + self.unstopped_share > 1:
            raise CalibrationError(
                f"shares of the proxies are {shares}; each must lie in [0, 1], and those stopped at the boundary and "
                "those never stopped may not exceed 1 together"
            )
        if not 1 <= self.fewest_steps <= self.most_steps:
            raise CalibrationError(
                f"proxies were to take {self.fewest_steps} to {self.most_steps} steps; give at least 1, the fewer first"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Plan:
    """What was drawn for each image of a batch."""

    radius: Float[Tensor, " image"]
    is_l2: Bool[Tensor, " image"]
    is_targeted: Bool[Tensor, " image"]
    target: Labels
    wanted_margin: Float[Tensor, " image"]
    n_steps: int

    def of(self, chosen: Tensor) -> "_Plan":
        """The plan for some of the images."""
        return _Plan(
            radius=self.radius[chosen],
            is_l2=self.is_l2[chosen],
            is_targeted=self.is_targeted[chosen],
            target=self.target[chosen],
            wanted_margin=self.wanted_margin[chosen],
            n_steps=self.n_steps,
        )


def make_proxies(
    classifier: Classifier,
    images: Images,
    labels: Labels,
    clean_margins: Float[Tensor, " clean"],
    settings: ProxySettings,
    generator: Generator,
) -> tuple[Images, Bool[Tensor, " image"]]:
    """Attack every image; returns the attacked images and whether each reached another label than its own.

    Costs at most 3 forward equivalents a step, one a bisection, and one more. `clean_margins`, in logits, are those to
    be matched.
    """
    plan = _draw_plan(labels, len(classifier.labels), clean_margins, settings, generator)
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
    attacked = _last_step_shortened(classifier, before, attacked, labels, plan, settings.bisections)
    with torch.no_grad():
        succeeded = classifier(attacked).logits.argmax(1) != labels
    return attacked, succeeded


@torch.no_grad()
def _last_step_shortened(
    classifier: Classifier, before: Images, after: Images, labels: Labels, plan: _Plan, bisections: int
) -> Images:
    """The first point on the last step of each image where it has the confidence it is to have; its end if none has."""
    low = torch.zeros(len(before), device=before.device)
    high = torch.ones_like(low)
    for _ in range(bisections):
        middle = (low + high) / 2
        is_reached = _has_reached(classifier(torch.lerp(before, after, per_image(middle))).logits, labels, plan)
        high = torch.where(is_reached, middle, high)
        low = torch.where(is_reached, low, middle)
    return torch.lerp(before, after, per_image(high))


def _draw_plan(
    labels: Labels, n_labels: int, clean_margins: Tensor, settings: ProxySettings, generator: Generator
) -> _Plan:
    n_images, device = len(labels), labels.device
    uniform = torch.rand(4, n_images, generator=generator).to(device)
    clean_margin = clean_margins[torch.randint(len(clean_margins), (n_images,), generator=generator)].to(device)
    wanted_margin = torch.where(uniform[3] < settings.boundary_share, 0.0, clean_margin)
    is_unstopped = uniform[3] > 1 - settings.unstopped_share
    offset = torch.randint(1, n_labels, (n_images,), generator=generator).to(device)
    n_steps = torch.randint(settings.fewest_steps, settings.most_steps + 1, (1,), generator=generator)
    return _Plan(
        radius=log_uniform(settings.smallest_radius, settings.largest_radius, uniform[0]),
        is_l2=uniform[1] < settings.l2_share,
        is_targeted=uniform[2] < settings.targeted_share,
        target=(labels + offset) % n_labels,
        wanted_margin=torch.where(is_unstopped, torch.inf, wanted_margin),
        n_steps=int(n_steps),
    )


@torch.enable_grad()  # whoever draws proxies only to measure them has gradients switched off
def _step(
    classifier: Classifier, attacked: Images, images: Images, labels: Labels, plan: _Plan
) -> tuple[Images, Bool[Tensor, " image"]]:
    """One gradient step, and which images had reached the confidence they are to have before it."""
    attacked = attacked.detach().requires_grad_(True)
    logits = classifier(attacked).logits
    loss = torch.where(plan.is_targeted, -log_odds_against(logits, plan.target), log_odds_against(logits, labels))
    (gradient,) = torch.autograd.grad(loss.sum(), attacked)
    is_done = _has_reached(logits.detach(), labels, plan)
    length = per_image(plan.radius * 2.5 / plan.n_steps)
    return _project(attacked.detach() + _direction(gradient, plan) * length, images, plan), is_done


def _has_reached(logits: Float[Tensor, "image label"], labels: Labels, plan: _Plan) -> Bool[Tensor, " image"]:
    """Whether another label than the true one has won, by the margin that was wanted."""
    predicted = logits.argmax(1)
    return (predicted != labels) & (margin(logits, predicted) >= plan.wanted_margin)


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


def per_image(values: Tensor) -> Tensor:
    """One value an image, ready to meet pixels."""
    return values[:, None, None, None]
