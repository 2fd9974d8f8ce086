"""Perturbations to train against (Madry et al. 2018, arXiv 1706.06083; de Jorge et al. 2022, arXiv 2202.01181)."""

import dataclasses

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor
from torch.nn import functional

from models.classifier import Classifier


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdversarialTraining:
    """How training images are perturbed before each step.

    `steps=7, step_size=0.25, noise=1, bound=1` is PGD-7; `steps=1, step_size=1, noise=2, bound=3` is N-FGSM, which at
    small radii trains about as well for a quarter of the price.

    Attributes:
        radius: ε, L∞, pixels in [0, 1].
        steps: gradient steps; each costs a forward and a backward pass.
        step_size: of each step, in radii.
        noise: the start is uniform noise of up to so many radii.
        bound: perturbations are projected onto so many radii.
    """

    radius: float
    steps: int = 7
    step_size: float = 0.25
    noise: float = 1.0
    bound: float = 1.0


def perturbed(
    classifier: Classifier,
    pixels: Float[Tensor, "image channel height width"],
    labels: Int64[Tensor, " image"],
    settings: AdversarialTraining,
    generator: Generator,
) -> Float[Tensor, "image channel height width"]:
    """Images moved to where the classifier's cross-entropy is higher, in [0, 1]; its mode is left as it is."""
    noise = torch.rand(pixels.shape, generator=generator).to(pixels) * 2 - 1
    moved = (pixels + settings.noise * settings.radius * noise).clamp(0, 1)
    limit = settings.bound * settings.radius
    for _ in range(settings.steps):
        moved = moved.detach().requires_grad_(True)
        loss = functional.cross_entropy(classifier(moved).logits, labels)
        (gradient,) = torch.autograd.grad(loss, moved)
        moved = moved.detach() + settings.step_size * settings.radius * gradient.sign()
        moved = torch.maximum(torch.minimum(moved, pixels + limit), pixels - limit).clamp(0, 1)
    return moved.detach()
