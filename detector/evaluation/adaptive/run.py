"""Runs one detector-aware attack on one detector, and says what came of it."""

import dataclasses
import math
import time
from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Generator, Tensor

from detector.detector import Detector
from detector.evaluation.adaptive.figures import AdaptiveFigures, AdaptiveRun, SkippedAdaptive
from detector.evaluation.adaptive.guides import guides_for
from detector.evaluation.adaptive.joint import RATE, Defended, Joint, Undefended, mean_objective
from detector.evaluation.adaptive.specs import AdaptiveSpec, Goal
from detector.evaluation.judgements import RATES
from detector.evaluation.metrics import rate_estimate
from detector.passes import PIXELS_PER_PASS, images_per_pass, predicted_labels
from detector.potentials import log_odds_against
from detector.types import Images, LabelledImages, Labels, ProgressCallback, no_progress, to_pixels, to_stored
from detector.verdict import Verdict

GRADIENT_PIXELS_PER_PASS = PIXELS_PER_PASS // 4
"""A pass whose gradient is wanted keeps every layer's outputs, and is the smaller for it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Trial:
    """What one attack is run on.

    Attributes:
        chunk: images attacked at a time.
    """

    goal: Goal
    images: Images
    true_labels: Labels
    targets: Labels
    seed: int
    chunk: int

    def attacked(self, spec: AdaptiveSpec, joint: Joint, progress: ProgressCallback) -> Images:
        """The attack on all the images, its random numbers its own."""
        generator, n_images, parts = Generator().manual_seed(self.seed), len(self.images), []
        for start in range(0, n_images, self.chunk):
            rows = slice(start, start + self.chunk)
            images, true_labels, targets = self.images[rows], self.true_labels[rows], self.targets[rows]
            parts.append(spec.attack(joint, images, true_labels, targets, generator).detach())
            progress(f"attacking the detector with {spec.name}", min(start + self.chunk, n_images), n_images)
        return torch.cat(parts)

    def reached(self, labels: Labels) -> Bool[Tensor, " image"]:
        """Which of the labels that the classifier gives are what the attack was after."""
        match self.goal:
            case Goal.RANDOM_LABEL:
                return labels == self.targets.cpu()
            case Goal.ANY_OTHER:
                return labels != self.true_labels.cpu()

    def loss(self, joint: Joint, images: Images) -> float:
        """Mean objective, whatever is drawn being the same each time it is asked for."""
        return mean_objective(joint, images, self.targets, Generator().manual_seed(self.seed), self.chunk)


def run_adaptive(
    spec: AdaptiveSpec,
    detector: Detector,
    clean: LabelledImages,
    *,
    seed: int,
    progress: ProgressCallback = no_progress,
) -> AdaptiveRun | SkippedAdaptive:
    """Attack the first clean images, each towards one random other label; an attack that cannot run is data too.

    Args:
        clean: correctly classified images that calibration has not seen; at least one.
    """
    taken, device = clean[: spec.most_images], detector.classifier.device
    available = detector.bundle.prototypes.available.cpu()
    targets = _targets(spec.goal, detector, taken, available, seed)
    if targets is None:
        return _skipped(spec, "there is no other label that the detector lets pass")
    trial = _Trial(
        goal=spec.goal,
        images=to_pixels(taken.images, device),
        true_labels=taken.labels.to(device),
        targets=targets.to(device),
        seed=seed,
        chunk=_chunk(detector),
    )
    defended = Defended(detector=detector, guides=guides_for(detector, clean, targets))
    reason = why_not(spec, defended, trial.images[:4], trial.targets[:4])
    if reason is not None:
        return _skipped(spec, reason)
    started = time.monotonic()
    try:
        attacked = trial.attacked(spec, defended, progress)
        figures = _figures(spec, trial, defended, attacked, time.monotonic() - started)
    except (RuntimeError, ValueError, TypeError) as error:
        return _skipped(spec, f"it stopped with {type(error).__name__}: {error}")
    return AdaptiveRun(figures=figures, images=attacked.cpu(), sources=torch.arange(len(taken)), targets=targets)


def _figures(
    spec: AdaptiveSpec, trial: _Trial, defended: Defended, attacked: Images, seconds: float
) -> AdaptiveFigures:
    n, classifier = len(attacked), defended.classifier
    undefended = Undefended(classifier=classifier, guides=defended.guides)
    unhindered = predicted_labels(classifier, trial.attacked(spec, undefended, no_progress)).cpu()
    verdicts = defended.detector.inspect(attacked)
    rounded = defended.detector.inspect(to_pixels(to_stored(attacked)))
    return AdaptiveFigures(
        name=spec.name,
        title=spec.title,
        radius=spec.radius,
        n=n,
        reached=rate_estimate(int(trial.reached(_labels(verdicts)).sum()), n),
        evaded={rate: rate_estimate(int(_evaded(trial, verdicts, rate).sum()), n) for rate in RATES},
        evaded_rounded=int(_evaded(trial, rounded, RATE).sum()) / n,
        undefended=int(trial.reached(unhindered).sum()) / n,
        first_loss=trial.loss(defended, trial.images),
        last_loss=trial.loss(defended, attacked),
        seconds=seconds,
    )


def _skipped(spec: AdaptiveSpec, reason: str) -> SkippedAdaptive:
    return SkippedAdaptive(name=spec.name, title=spec.title, reason=reason)


def _targets(
    goal: Goal, detector: Detector, clean: LabelledImages, available: Bool[Tensor, " label"], seed: int
) -> Labels | None:
    match goal:
        case Goal.RANDOM_LABEL:
            return random_targets(clean.labels, available, Generator().manual_seed(seed))
        case Goal.ANY_OTHER:
            return runners_up(detector, clean, available)


@torch.no_grad()
def runners_up(detector: Detector, clean: LabelledImages, available: Bool[Tensor, " label"]) -> Labels | None:
    """The most likely other label of each image that a detector would let pass at all; None where there is none."""
    logits = detector.classifier(to_pixels(clean.images, detector.classifier.device)).logits.cpu()
    logits = logits.masked_fill(~available, -torch.inf).scatter(1, clean.labels[:, None], -torch.inf)
    return logits.argmax(1) if logits.isfinite().any(1).all() else None


def random_targets(labels: Labels, available: Bool[Tensor, " label"], generator: Generator) -> Labels | None:
    """One other label for each image, among those that a detector would let pass at all; None where there is none."""
    allowed = available.repeat(len(labels), 1).scatter(1, labels[:, None], False)
    if not allowed.any(1).all():
        return None
    return torch.multinomial(allowed.double(), 1, generator=generator)[:, 0]


def why_not(spec: AdaptiveSpec, joint: Joint, images: Images, targets: Labels) -> str | None:
    """Why the attack cannot run, or would only repeat another one, tried on some images; None if neither."""
    if spec.needs_gradient and not _gradient_reaches(joint, images, targets):
        return "the classifier's gradient does not reach the pixels"
    if spec.needs_draws and not _draws(joint, images, targets):
        return "the detector draws nothing at random, so there is nothing to take the expectation over"
    return None


@torch.enable_grad()
def _gradient_reaches(joint: Joint, images: Images, targets: Labels) -> bool:
    pixels = images.detach().requires_grad_(True)
    try:
        logits = joint.joint(pixels, targets, Generator().manual_seed(0)).logits
        if not logits.requires_grad:
            return False
        (gradient,) = torch.autograd.grad(log_odds_against(logits, targets).sum(), pixels, allow_unused=True)
    except (RuntimeError, ValueError, TypeError):
        # A classifier may refuse pixels that ask for gradients.
        return False
    return gradient is not None and bool(gradient.any())


@torch.no_grad()
def _draws(joint: Joint, images: Images, targets: Labels) -> bool:
    generator = Generator().manual_seed(0)
    before = generator.get_state()
    joint.joint(images, targets, generator)
    return not torch.equal(generator.get_state(), before)


def _chunk(detector: Detector) -> int:
    n_points = math.ceil(detector.joint_forward_equivalents)
    return images_per_pass(detector.classifier.input_shape, n_points, GRADIENT_PIXELS_PER_PASS)


def _labels(verdicts: Sequence[Verdict]) -> Labels:
    return torch.tensor([verdict.label for verdict in verdicts])


def _evaded(trial: _Trial, verdicts: Sequence[Verdict], rate: float) -> Tensor:
    passed = [verdict.p_value is not None and verdict.p_value > rate for verdict in verdicts]
    return trial.reached(_labels(verdicts)) & torch.tensor(passed)
