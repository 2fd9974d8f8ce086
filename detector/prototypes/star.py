"""Prototypes that connect straight to many images of their label at once: the centres of stars."""

import dataclasses
from collections.abc import Mapping

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Generator, Tensor

from detector.potentials import cross_entropy
from detector.types import Classifier, Images, Labels, ProgressCallback, to_pixels


@dataclasses.dataclass(frozen=True, kw_only=True)
class StarSettings:
    """How centres are found (Lin et al. 2024, star-shaped connectivity; there of weights, here of inputs).

    Attributes:
        steps: gradient steps of Adam, in the logit of the pixels.
        images: images of its label that each centre is drawn to at each step, at one point of the path to each.
    """

    steps: int = 100
    learning_rate: float = 0.05
    images: int = 16


def star_centres(
    classifier: Classifier,
    labels: Labels,
    starts: Images,
    references: UInt8[Tensor, "reference channel height width"],
    members: Mapping[int, Int64[Tensor, " _"]],
    settings: StarSettings,
    generator: Generator,
    chunk: int,
    progress: ProgressCallback,
) -> Images:
    """Move each start so that the classifier sees its label all the way to the images of that label.

    Minimises the cross-entropy expected at `(1 - t)·centre + t·image`, over images of the label and t in [0, 1]
    (the expected loss of Garipov et al. 2018, on the legs of a star). A centre takes no pixel of an image; it is led by
    the classifier's gradient alone.

    Args:
        labels: of each centre.
        starts: where each centre starts; pixels at the ends of the range are pulled in a little, to be able to move.
        references: images to choose from, as files hold them.
        members: for every label named, which of the references its centres are to reach.
        chunk: points in one forward pass.
    """
    pixel_logits = starts.to(classifier.device).clamp(0.02, 0.98).logit().requires_grad_(True)
    optimizer = torch.optim.Adam([pixel_logits], lr=settings.learning_rate)
    centres = torch.arange(len(labels), device=classifier.device).repeat_interleave(settings.images)
    point_labels = labels.to(classifier.device).repeat_interleave(settings.images)
    for step in range(settings.steps):
        reached = torch.cat([_drawn(members[label], settings.images, generator) for label in labels.tolist()])
        places = torch.cat([_stratified(settings.images, generator) for _ in labels])
        optimizer.zero_grad()
        for start in range(0, len(centres), chunk):
            legs = slice(start, start + chunk)
            ends = to_pixels(references[reached[legs]], classifier.device)
            weights = places[legs].to(classifier.device)[:, None, None, None]
            points = torch.lerp(pixel_logits[centres[legs]].sigmoid(), ends, weights)
            loss = cross_entropy(classifier(points).logits, point_labels[legs]).sum() / settings.images
            loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        progress("finding star centres", step + 1, settings.steps)
    return pixel_logits.detach().sigmoid()


def _drawn(members: Int64[Tensor, " _"], n: int, generator: Generator) -> Int64[Tensor, " leg"]:
    return members[torch.randint(len(members), (n,), generator=generator)]


def _stratified(n: int, generator: Generator) -> Float[Tensor, " leg"]:
    """One number drawn from each of `n` equal parts of [0, 1], in random order."""
    return (torch.randperm(n, generator=generator) + torch.rand(n, generator=generator)) / n
