"""An endless stream of clean images and fresh proxies to learn from."""

import dataclasses
import math
from collections.abc import Iterator

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor
from torch.nn import functional

from detector.calibration.proxies import ProxySettings, make_proxies, per_image
from detector.calibration.randomness import log_uniform
from detector.passes import predicted_labels
from detector.potentials import margin
from detector.types import CalibrationError, Classifier, LabelledImages, Labels, StoredImages, to_pixels


@dataclasses.dataclass(frozen=True, kw_only=True)
class StreamSettings:
    """How a batch is drawn.

    Attributes:
        images: clean images a batch.
        sources: images that proxies are tried on; those that succeed make up the batch.
        crop_padding: largest random shift, in pixels.
        flip: whether images are mirrored at random.
        noisy_share: share of the clean images that get harmless noise, so that a detector does not take roughness
            alone for an attack; those that it robs of their label are left out.
        smallest_noise, largest_noise: standard deviation of that noise, pixels in [0, 1], drawn log-uniformly.
    """

    images: int = 40
    sources: int = 56
    crop_padding: int = 2
    flip: bool = True
    noisy_share: float = 0.3
    smallest_noise: float = 2 / 255
    largest_noise: float = 16 / 255
    proxies: ProxySettings = dataclasses.field(default_factory=ProxySettings)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    """Clean images that the classifier gets right, proxies that it gets wrong, and what the proxies truly show."""

    clean: Float[Tensor, "clean channel height width"]
    proxies: Float[Tensor, "proxy channel height width"]
    true_labels: Int64[Tensor, " proxy"]


@torch.no_grad()
def correctly_classified(
    classifier: Classifier, data: LabelledImages, chunk: int
) -> tuple[LabelledImages, Float[Tensor, " image"]]:
    """The images whose label the classifier gets right, and their margins in logits."""
    margins, correct = [], []
    for start in range(0, len(data), chunk):
        part = data[start : start + chunk]
        logits = classifier(to_pixels(part.images, classifier.device)).logits.cpu()
        predicted = logits.argmax(1)
        correct.append(predicted == part.labels)
        margins.append(margin(logits, predicted))
    chosen = torch.cat(correct).nonzero()[:, 0] if correct else torch.zeros(0, dtype=torch.int64)
    if len(chosen) < 2:
        raise CalibrationError(
            f"the classifier gets {len(chosen)} of {len(data)} held-out images right, too few to learn from; "
            "check labels, preprocessing and normalisation"
        )
    return data[chosen], torch.cat(margins)[chosen]


def stream(
    classifier: Classifier, data: LabelledImages, settings: StreamSettings, generator: Generator, chunk: int
) -> Iterator[Batch]:
    """Draw batches for ever. Every batch costs about `3 × sources × steps + images` forward equivalents."""
    sources, margins = correctly_classified(classifier, data, chunk)
    while True:
        clean_drawn = torch.randint(len(sources), (settings.images,), generator=generator)
        drawn = torch.randint(len(sources), (settings.sources,), generator=generator)
        clean = varied(sources.images[clean_drawn], settings, generator)
        tried = varied(sources.images[drawn], settings, generator)
        labels = sources.labels[drawn].to(classifier.device)
        pixels = to_pixels(tried, classifier.device)
        parts = zip(torch.split(pixels, chunk), torch.split(labels, chunk), strict=True)
        made = [make_proxies(classifier, images, own, margins, settings.proxies, generator) for images, own in parts]
        succeeded = torch.cat([succeeded for _, succeeded in made]).nonzero()[: settings.images, 0]
        yield Batch(
            clean=harmless(classifier, clean, sources.labels[clean_drawn], settings, generator, chunk),
            proxies=torch.cat([attacked for attacked, _ in made])[succeeded],
            true_labels=labels[succeeded],
        )


@torch.no_grad()
def harmless(
    classifier: Classifier,
    images: StoredImages,
    labels: Labels,
    settings: StreamSettings,
    generator: Generator,
    chunk: int,
) -> Float[Tensor, "kept channel height width"]:
    """The images as pixels, a share of them with noise, Gaussian or uniform, that leaves them their label."""
    pixels = to_pixels(images, classifier.device)
    if settings.noisy_share == 0:
        return pixels
    chosen, is_gaussian, size = torch.rand(3, len(images), generator=generator).to(pixels.device)
    deviation = log_uniform(settings.smallest_noise, settings.largest_noise, size)
    gaussian = torch.randn(pixels.shape, generator=generator).to(pixels)
    uniform = (torch.rand(pixels.shape, generator=generator).to(pixels) * 2 - 1) * math.sqrt(3)
    noise = torch.where(per_image(is_gaussian < 0.5), gaussian, uniform) * per_image(deviation)
    is_noisy = chosen < settings.noisy_share
    moved = torch.where(per_image(is_noisy), (pixels + noise).clamp(0, 1), pixels)
    keeps_label = predicted_labels(classifier, moved, chunk) == labels.to(pixels.device)
    return moved[keeps_label | ~is_noisy]


def varied(images: StoredImages, settings: StreamSettings, generator: Generator) -> StoredImages:
    """Randomly shifted, and mirrored where that leaves the meaning alone."""
    n_images, _, height, width = images.shape
    padding = settings.crop_padding
    if padding:
        padded = functional.pad(images.float(), (padding,) * 4, mode="reflect").to(torch.uint8)
        offsets = torch.randint(0, 2 * padding + 1, (n_images, 2), generator=generator).tolist()
        images = torch.stack(
            [
                image[:, top : top + height, left : left + width]
                for image, (top, left) in zip(padded, offsets, strict=True)
            ]
        )
    if settings.flip:
        mirrored = torch.rand(n_images, generator=generator) < 0.5
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    return images
