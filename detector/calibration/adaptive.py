"""Proxies that know the detector: they cross to another label and keep the head's score low at the same time.

A head that has never met them leans on whatever separates best, also where an attacker can move it at will. Fitted
again on what fooled it, it turns to what withstands: adversarial training of the head alone (Madry et al. 2018, arXiv
1706.06083), the classifier being frozen. The search is one generic gradient descent on a weighted sum; none of the
detector-aware attacks of an evaluation is used.
"""

import dataclasses
from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor
from torch.nn import functional

from detector.balls import within
from detector.calibration.goals import per_image
from detector.calibration.randomness import log_uniform
from detector.calibration.stream import Batch, StreamSettings, correctly_classified, harmless, varied
from detector.head import Head
from detector.potentials import margin
from detector.profiles import PathProfiler
from detector.types import CalibrationError, Images, LabelledImages, Labels, Prototypes, to_pixels

GOAL_MARGIN = 0.5
"""Logits by which a goal is to win, so that it still does after rounding."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaptiveSettings:
    """How adaptive proxies are made.

    Attributes:
        rounds: how often the head is attacked and fitted again.
        batches: batches of each round.
        sources: images a batch that are tried; those that reach another label make it up.
        steps: gradient steps; each costs 3 times what a verdict costs.
        smallest_radius, largest_radius: L∞, pixels in [0, 1], drawn log-uniformly.
        smallest_weight, largest_weight: what a nat of the head's loss weighs against a logit of the margin that is
            missing, drawn log-uniformly.
        copies: how often each adaptive proxy, and each clean image beside it, counts when the head is fitted.
    """

    rounds: int = 5
    batches: int = 10
    sources: int = 40
    steps: int = 10
    smallest_radius: float = 1 / 255
    largest_radius: float = 8 / 255
    smallest_weight: float = 0.3
    largest_weight: float = 3.0
    copies: int = 3

    def __post_init__(self) -> None:
        if min(self.rounds, self.batches, self.sources, self.steps) < 1:
            raise CalibrationError(
                f"adaptive proxies were to be made in {self.rounds} rounds of {self.batches} batches of {self.sources} "
                f"images with {self.steps} steps; each must be at least 1"
            )
        if not 0 < self.smallest_radius <= self.largest_radius <= 1:
            raise CalibrationError(
                f"the sizes of adaptive proxies run from {self.smallest_radius} to {self.largest_radius}; give a "
                "smaller and a larger one between 0 and 1"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Paths:
    """What measures paths, and where they lead; `available` are the labels that have prototypes and images."""

    profiler: PathProfiler
    prototypes: Prototypes
    mixing: Float[Tensor, " waypoint"]
    available: Bool[Tensor, " label"]


def adaptive_stream(
    paths: Paths,
    head: Head,
    data: LabelledImages,
    settings: AdaptiveSettings,
    variation: StreamSettings,
    generator: Generator,
    chunk: int,
) -> Iterator[Batch]:
    """Draw batches of clean images and adaptive proxies of others for ever."""
    classifier = paths.profiler.classifier
    sources, _ = correctly_classified(classifier, data, chunk)
    while True:
        drawn, clean = torch.randint(len(sources), (2, settings.sources), generator=generator)
        labels = sources.labels[drawn].to(classifier.device)
        pixels = to_pixels(varied(sources.images[drawn], variation, generator), classifier.device)
        attacked, succeeded = attack_head(paths, head, pixels, labels, settings, generator)
        yield Batch(
            clean=harmless(
                classifier,
                varied(sources.images[clean], variation, generator),
                sources.labels[clean],
                variation,
                generator,
                chunk,
            ),
            proxies=attacked[succeeded],
            true_labels=labels[succeeded],
        )


@torch.enable_grad()
def attack_head(
    paths: Paths, head: Head, images: Images, labels: Labels, settings: AdaptiveSettings, generator: Generator
) -> tuple[Images, Bool[Tensor, " image"]]:
    """Drive every image to one random other label, unseen by the head; returns whether each reached it.

    Raises:
        CalibrationError: fewer than two labels have prototypes, so that there is none to drive to.
    """
    goals = _goals(labels, paths.available, generator)
    uniform = [torch.rand(len(images), generator=generator).to(images.device) for _ in range(2)]
    radius = per_image(log_uniform(settings.smallest_radius, settings.largest_radius, uniform[0]))
    weight = log_uniform(settings.smallest_weight, settings.largest_weight, uniform[1])
    noise = torch.rand(images.shape, generator=generator).to(images) * 2 - 1
    attacked = (images + radius * noise).clamp(0, 1)
    best = attacked
    lowest = torch.full((len(images),), torch.inf, device=images.device)
    for step in range(settings.steps + 1):
        gradient, missing, seen = _downhill(paths, head, attacked, goals, weight)
        # Among the points that reached their goal the least conspicuous counts; before that, the latest.
        cost = torch.where(missing < GOAL_MARGIN, seen, torch.inf)
        is_better = (cost < lowest) | lowest.isinf()
        best = torch.where(per_image(is_better), attacked, best)
        lowest = torch.minimum(lowest, cost)
        length = radius * 2.5 / settings.steps * (1 - 0.5 * step / settings.steps)
        moved = attacked - length * gradient.sign()
        attacked = within(moved, images, radius)
    return best, lowest.isfinite()


def _goals(labels: Labels, available: Bool[Tensor, " label"], generator: Generator) -> Labels:
    """One other label an image, among those that the detector would let pass at all."""
    allowed = available.nonzero()[:, 0]
    if len(allowed) < 2:
        raise CalibrationError(
            f"{len(allowed)} labels have prototypes, and adaptive proxies need at least two; give images of more labels"
        )
    offset = torch.randint(1, len(allowed), labels.shape, generator=generator).to(labels.device)
    goals: Labels = allowed[(torch.searchsorted(allowed, labels) + offset) % len(allowed)]
    return goals


def _downhill(
    paths: Paths, head: Head, attacked: Images, goals: Labels, weight: Float[Tensor, " image"]
) -> tuple[Images, Float[Tensor, " image"], Float[Tensor, " image"]]:
    """Gradient of the weighted sum; the logits that the goal's margin lacks, and the head's loss in nats."""
    gradients, missing, seen = [], [], []
    parts = (paths.profiler.split(rows, paths.prototypes, paths.mixing) for rows in (attacked, goals, weight))
    for images, goal, share in zip(*parts, strict=True):
        pixels = images.detach().requires_grad_(True)
        evidence = paths.profiler.measure_as(pixels, goal, paths.prototypes, paths.mixing)
        lacks = functional.relu(GOAL_MARGIN - margin(evidence.logits, goal))
        loss = functional.softplus(head.passing_gradients(evidence.features))
        gradients.append(torch.autograd.grad((lacks + share * loss).sum(), pixels)[0])
        missing.append(lacks.detach())
        seen.append(loss.detach())
    return torch.cat(gradients), torch.cat(missing), torch.cat(seen)
