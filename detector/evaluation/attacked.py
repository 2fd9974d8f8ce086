"""Attacked images, ready to be judged: only those that fool the classifier, with what the attack did."""

import dataclasses
from collections.abc import Mapping

import torch
from torch import Generator, Tensor

from detector.evaluation.attacks import Attack
from detector.passes import predicted_labels
from detector.types import Classifier, Images, LabelledImages, ProgressCallback, to_pixels


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttackedImages:
    """The successes of one attack.

    Attributes:
        images: attacked images that the classifier mistakes, pixels in [0, 1].
        sources: index of the clean image of each, shape (image,).
        true_labels: shape (image,).
        n_tried: clean images the attack was run on.
        l2, linf: size of each perturbation, pixel units of [0, 1].
    """

    images: Images
    sources: Tensor
    true_labels: Tensor
    n_tried: int
    l2: Tensor
    linf: Tensor

    @property
    def success_rate(self) -> float:
        """Share of the attacked images that fooled the classifier."""
        return len(self.sources) / self.n_tried


def run_attack(
    name: str,
    attack: Attack,
    classifier: Classifier,
    clean: LabelledImages,
    *,
    seed: int,
    chunk: int,
    progress: ProgressCallback,
) -> AttackedImages:
    """Attack correctly classified images in chunks; keep what succeeds, is finite and stays in [0, 1]."""
    generator = Generator().manual_seed(seed)
    attacked = []
    for start in range(0, len(clean), chunk):
        part = clean[start : start + chunk]
        pixels = to_pixels(part.images, classifier.device)
        attacked.append(attack(classifier, pixels, part.labels.to(classifier.device), generator).detach().cpu())
        progress(f"attacking with {name}", min(start + chunk, len(clean)), len(clean))
    images = torch.cat(attacked)
    valid = (images.isfinite() & (images >= 0) & (images <= 1)).flatten(1).all(1)
    sources = (valid & (predicted_labels(classifier, images, chunk) != clean.labels)).nonzero()[:, 0]
    difference = (images - to_pixels(clean.images))[sources].flatten(1)
    return AttackedImages(
        images=images[sources],
        sources=sources,
        true_labels=clean.labels[sources],
        n_tried=len(clean),
        l2=difference.norm(dim=1),
        linf=difference.abs().amax(1),
    )


def attack_all(
    attacks: Mapping[str, Attack],
    classifier: Classifier,
    clean: LabelledImages,
    *,
    seed: int,
    chunk: int,
    progress: ProgressCallback,
) -> dict[str, AttackedImages]:
    """Run every attack of a suite on the same images."""
    return {
        name: run_attack(name, attack, classifier, clean, seed=seed, chunk=chunk, progress=progress)
        for name, attack in attacks.items()
    }
