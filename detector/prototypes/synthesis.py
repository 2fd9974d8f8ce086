"""Prototypes made without images: by feature visualisation, of noise, of grey."""

import dataclasses

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn import functional

from detector.potentials import margin
from detector.types import CalibrationError, Classifier, Images, Labels, ProgressCallback


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
        finished: margin in logits at which an image is left as it is; by default none is, so that what follows makes it
            smoother.
    """

    steps: int = 128
    learning_rate: float = 0.015
    jitter: int = 2
    smoothness: float = 20.0
    enough: float = 16.0
    finished: float | None = None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise CalibrationError(f"features were to be visualised in {self.steps} steps; at least 1 is needed")

    @classmethod
    def hurried(cls, steps: int) -> "VisualisationSettings":
        """Few and long steps, rough images, and each finished as soon as the classifier is sure of its label.

        For label sets so large, or classifiers so slow, that a hundred gradients an image are too many.
        """
        return cls(steps=steps, learning_rate=0.1, smoothness=2.0, finished=2.0)


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
    made = []
    parts = zip(torch.split(noise, chunk), torch.split(labels, chunk), strict=True)
    for begun, (part, part_labels) in enumerate(parts):
        spectrum = part.to(classifier.device)
        canvas = _Canvas(classifier, spectrum, part_labels.to(spectrum.device), settings, generator)
        for step in range(settings.steps):
            canvas.step()
            # In steps of single images, which take long enough on large ones.
            done = begun * chunk * settings.steps + len(part) * (step + 1)
            progress("visualising features", done, len(labels) * settings.steps)
        made.append(canvas.images())
    return torch.cat(made)


class _Canvas:
    """Images of one forward pass on their way; those that are finished are no part of it any more."""

    def __init__(
        self,
        classifier: Classifier,
        start: Tensor,
        labels: Labels,
        settings: VisualisationSettings,
        generator: Generator,
    ) -> None:
        self.classifier = classifier
        self.spectrum = start.clone().requires_grad_(True)
        self.labels = labels
        self.settings = settings
        self.generator = generator
        self.optimizer = torch.optim.Adam([self.spectrum], lr=settings.learning_rate)
        self.active = torch.arange(len(labels), device=labels.device)

    def step(self) -> None:
        """Move the images that are not finished, after a look at which are."""
        if len(self.active) == 0:
            return
        settings = self.settings
        before = self.spectrum.detach().clone()
        images = from_spectrum(self.spectrum[self.active], self.classifier.input_shape[1:])
        down, right = torch.randint(-settings.jitter, settings.jitter + 1, (2,), generator=self.generator).tolist()
        shifted = images.roll((down, right), (2, 3))
        margins = margin(self.classifier(shifted).logits, self.labels[self.active])
        loss = functional.relu(settings.enough - margins) + settings.smoothness * total_variation(images)
        self.optimizer.zero_grad()
        loss.sum().backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        if settings.finished is None:
            return
        self.active = self.active[margins.detach() < settings.finished]
        # The optimiser's momentum moves finished images too.
        is_finished = torch.ones(len(before), dtype=torch.bool, device=before.device).index_fill(0, self.active, False)
        self.spectrum.data[is_finished] = before[is_finished]

    def images(self) -> Images:
        """As they are now, with pixels in (0, 1)."""
        return from_spectrum(self.spectrum.detach(), self.classifier.input_shape[1:])


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
