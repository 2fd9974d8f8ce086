"""Prototypes made without images: by feature visualisation, of noise, of grey."""

import dataclasses

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn import functional

from detector.potentials import margin
from detector.types import Classifier, Images, Labels, ProgressCallback


@dataclasses.dataclass(frozen=True, kw_only=True)
class VisualisationSettings:
    """Feature visualisation by optimisation (Olah et al. 2017).

    Attributes:
        steps: gradient steps of Adam, in the logit of the pixels.
        jitter: largest shift of the image at each step, in pixels; keeps single pixels from deciding.
        smoothness: weight of the total variation, in logits per unit of mean absolute difference of neighbours.
        enough: margin in logits beyond which more is not asked for, so that colours do not saturate.
    """

    steps: int = 128
    learning_rate: float = 0.08
    jitter: int = 2
    smoothness: float = 20.0
    enough: float = 15.0


def feature_visualised(
    classifier: Classifier,
    labels: Labels,
    settings: VisualisationSettings,
    generator: Generator,
    chunk: int,
    progress: ProgressCallback,
) -> Images:
    """One image for each label named, started from faint noise, that the classifier takes for that label."""
    channels, height, width = classifier.input_shape
    noise = torch.randn(len(labels), channels, height, width, generator=generator)
    finished = []
    for part, part_labels in zip(torch.split(0.3 * noise, chunk), torch.split(labels, chunk), strict=True):
        pixels = part.to(classifier.device)
        finished.append(_visualise(classifier, pixels, part_labels.to(pixels.device), settings, generator))
        progress("visualising features", sum(len(images) for images in finished), len(labels))
    return torch.cat(finished)


def _visualise(
    classifier: Classifier, start: Tensor, labels: Labels, settings: VisualisationSettings, generator: Generator
) -> Images:
    pixel_logits = start.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([pixel_logits], lr=settings.learning_rate)
    for _ in range(settings.steps):
        images = pixel_logits.sigmoid()
        down, right = torch.randint(-settings.jitter, settings.jitter + 1, (2,), generator=generator).tolist()
        shifted = images.roll((down, right), (2, 3))
        margins = margin(classifier(shifted).logits, labels)
        loss = functional.relu(settings.enough - margins) + settings.smoothness * total_variation(images)
        optimizer.zero_grad()
        loss.sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return pixel_logits.detach().sigmoid()


def total_variation(images: Images) -> Float[Tensor, " image"]:
    """Mean absolute difference of vertical and of horizontal neighbours, summed, in pixel units of [0, 1]."""
    vertical = (images[:, :, 1:] - images[:, :, :-1]).abs().flatten(1).mean(1)
    horizontal = (images[:, :, :, 1:] - images[:, :, :, :-1]).abs().flatten(1).mean(1)
    return vertical + horizontal


def noise_images(n_images: int, shape: tuple[int, int, int], generator: Generator) -> Images:
    """Every pixel uniform in [0, 1]."""
    return torch.rand(n_images, *shape, generator=generator)


def grey_images(n_images: int, shape: tuple[int, int, int]) -> Images:
    """Every pixel one half."""
    return torch.full((n_images, *shape), 0.5)
