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
    """Feature visualisation by optimisation, in the frequencies of the image (Olah et al. 2017).

    Attributes:
        steps: gradient steps of Adam.
        learning_rate: size of a step in each scaled frequency. Over all of them a step moves the logit of a pixel by
            four to eight times as much, for images of 8×8 to 224×224 pixels.
        jitter: largest shift of the image at each step, in pixels; keeps single pixels from deciding.
        smoothness: weight of the total variation, in logits per unit of mean absolute difference of neighbours.
        enough: margin in logits beyond which more is not asked for, so that colours do not saturate.
    """

    steps: int = 128
    learning_rate: float = 0.015
    jitter: int = 2
    smoothness: float = 20.0
    enough: float = 16.0


FAINT = 0.05
"""Standard deviation of the frequencies an image starts from; its pixels then stray from grey by a few hundredths."""


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
    noise = FAINT * torch.randn(len(labels), channels, height, width // 2 + 1, 2, generator=generator)
    finished = []
    for part, part_labels in zip(torch.split(noise, chunk), torch.split(labels, chunk), strict=True):
        spectrum = part.to(classifier.device)
        finished.append(_visualise(classifier, spectrum, part_labels.to(spectrum.device), settings, generator))
        progress("visualising features", sum(len(images) for images in finished), len(labels))
    return torch.cat(finished)


def _visualise(
    classifier: Classifier, start: Tensor, labels: Labels, settings: VisualisationSettings, generator: Generator
) -> Images:
    spectrum = start.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([spectrum], lr=settings.learning_rate)
    size = classifier.input_shape[1:]
    for _ in range(settings.steps):
        images = from_spectrum(spectrum, size)
        down, right = torch.randint(-settings.jitter, settings.jitter + 1, (2,), generator=generator).tolist()
        shifted = images.roll((down, right), (2, 3))
        margins = margin(classifier(shifted).logits, labels)
        loss = functional.relu(settings.enough - margins) + settings.smoothness * total_variation(images)
        optimizer.zero_grad()
        loss.sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return from_spectrum(spectrum.detach(), size)


def from_spectrum(
    spectrum: Float[Tensor, "image channel height half_width 2"], size: tuple[int, int]
) -> Float[Tensor, "image channel height width"]:
    """Images of the (height, width) given, from real and imaginary parts of their non-negative frequencies.

    Every frequency is scaled by its wavelength, at most the longer side: natural images fall off like that, and equal
    steps of an optimiser then act on coarse shapes as much as on fine grain. A sigmoid makes it pixels in (0, 1).
    """
    height, width = size
    down = torch.fft.fftfreq(height, device=spectrum.device)
    right = torch.fft.rfftfreq(width, device=spectrum.device)
    frequency = torch.hypot(down[:, None], right[None, :])
    wavelength = 1 / frequency.clamp_min(1 / max(size))
    scaled = torch.view_as_complex(spectrum.contiguous()) * wavelength
    pixel_logits: Tensor = torch.fft.irfft2(scaled, s=size, norm="ortho")
    return pixel_logits.sigmoid()


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
