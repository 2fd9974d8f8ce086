"""Attacked images, ready to be judged: only those that fool the classifier, with what the attack did."""

import dataclasses
import math
import time
from collections.abc import Mapping

import torch
from torch import Generator, Tensor

from detector.evaluation.attacks import Attack, AttackSpec, MissingExtraError
from detector.passes import predicted_labels
from detector.types import Classifier, Images, LabelledImages, ProgressCallback, to_pixels, to_stored

N_PROBED = 8
"""Images whose gradient is looked at before attacks that need one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttackedImages:
    """The successes of one attack.

    Attributes:
        images: attacked images that the classifier mistakes, pixels in [0, 1].
        sources: index of the clean image of each, shape (image,).
        true_labels: shape (image,).
        n_tried: clean images the attack was run on.
        n_invalid: attacked images that were dropped, since they are not finite or leave [0, 1].
        l2, linf: size of each perturbation, pixel units of [0, 1].
        survives_rounding: share of the successes that still fool the classifier once rounded to 8 bits; NaN if none.
        seconds: that the attack took.
    """

    images: Images
    sources: Tensor
    true_labels: Tensor
    n_tried: int
    n_invalid: int
    l2: Tensor
    linf: Tensor
    survives_rounding: float
    seconds: float

    @property
    def success_rate(self) -> float:
        """Share of the attacked images that fooled the classifier."""
        return len(self.sources) / self.n_tried


@dataclasses.dataclass(frozen=True)
class SkippedAttack:
    """An attack without images to judge, and why."""

    reason: str


def run_attack(
    spec: AttackSpec,
    classifier: Classifier,
    clean: LabelledImages,
    *,
    seed: int,
    chunk: int,
    progress: ProgressCallback,
) -> AttackedImages | SkippedAttack:
    """Attack correctly classified images in chunks; keep what succeeds, is finite and stays in [0, 1].

    Whatever an attack does is a finding: one that raises, or returns nothing but invalid images, is skipped with that
    reason. One that never succeeds gives no images.

    Raises:
        MissingExtraError: what the attack is made of is not installed.
    """
    tried = clean[: spec.most_images]
    if len(tried) == 0:
        return SkippedAttack("there are no images to attack")
    if spec.needs_gradient and not has_pixel_gradient(classifier, tried[:N_PROBED]):
        return SkippedAttack("it needs the classifier's gradient, which does not reach the pixels")
    try:
        made = _attacked(spec.name, spec.attack, classifier, tried, seed=seed, chunk=chunk, progress=progress)
    except MissingExtraError:
        raise
    # A library's attack may raise anything, and the other attacks are still to come.
    except Exception as error:
        return SkippedAttack(f"it raised {_in_one_line(error)}")
    if made.n_invalid == made.n_tried:
        return SkippedAttack(f"none of the {made.n_tried} images that it returned is finite and within [0, 1]")
    return made


def attack_all(
    attacks: Mapping[str, Attack],
    classifier: Classifier,
    clean: LabelledImages,
    *,
    seed: int,
    chunk: int,
    progress: ProgressCallback,
) -> dict[str, AttackedImages]:
    """Run every attack on the same images; what one of them raises is raised here."""
    return {
        name: _attacked(name, attack, classifier, clean, seed=seed, chunk=chunk, progress=progress)
        for name, attack in attacks.items()
    }


def has_pixel_gradient(classifier: Classifier, clean: LabelledImages) -> bool:
    """Whether the logits have a gradient with respect to the pixels of any of these images that is not zero."""
    pixels = to_pixels(clean.images, classifier.device).requires_grad_(True)
    with torch.enable_grad():
        try:
            logits = classifier(pixels).logits
            # Weighed, since logits may have been made to sum to a constant.
            weights = torch.arange(1, logits.shape[1] + 1, device=logits.device, dtype=logits.dtype)
            (gradient,) = torch.autograd.grad((logits * weights).sum(), pixels, allow_unused=True)
        except (RuntimeError, ValueError):
            return False
    return gradient is not None and bool((gradient != 0).any())


def _attacked(
    name: str,
    attack: Attack,
    classifier: Classifier,
    clean: LabelledImages,
    *,
    seed: int,
    chunk: int,
    progress: ProgressCallback,
) -> AttackedImages:
    generator = Generator().manual_seed(seed)
    attacked = []
    started = time.perf_counter()
    for start in range(0, len(clean), chunk):
        part = clean[start : start + chunk]
        pixels = to_pixels(part.images, classifier.device)
        attacked.append(attack(classifier, pixels, part.labels.to(classifier.device), generator).detach().cpu())
        progress(f"attacking with {name}", min(start + chunk, len(clean)), len(clean))
    seconds = time.perf_counter() - started
    images = torch.cat(attacked)
    valid = (images.isfinite() & (images >= 0) & (images <= 1)).flatten(1).all(1)
    sources = (valid & (predicted_labels(classifier, images, chunk) != clean.labels)).nonzero()[:, 0]
    successes, true_labels = images[sources], clean.labels[sources]
    difference = (successes - to_pixels(clean.images[sources])).flatten(1)
    return AttackedImages(
        images=successes,
        sources=sources,
        true_labels=true_labels,
        n_tried=len(clean),
        n_invalid=int((~valid).sum()),
        l2=difference.norm(dim=1),
        linf=difference.abs().amax(1),
        survives_rounding=_share_surviving(classifier, successes, true_labels, chunk),
        seconds=seconds,
    )


def _share_surviving(classifier: Classifier, successes: Images, true_labels: Tensor, chunk: int) -> float:
    if len(successes) == 0:
        return math.nan
    rounded = to_pixels(to_stored(successes))
    return (predicted_labels(classifier, rounded, chunk) != true_labels).double().mean().item()


def _in_one_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
