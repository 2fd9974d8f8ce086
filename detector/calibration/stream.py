"""An endless stream of clean images and fresh proxies to learn from."""

import dataclasses
import math
from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor
from torch.nn import functional

from detector.calibration.black_box import Attacked, BlackBoxSettings, make_black_box_proxies
from detector.calibration.goals import per_image
from detector.calibration.proxies import ProxySettings, make_proxies
from detector.calibration.randomness import log_uniform
from detector.passes import predicted_labels
from detector.potentials import margin
from detector.types import CalibrationError, Classifier, Images, LabelledImages, Labels, StoredImages, to_pixels


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
        proxies: the family that proxies are drawn from; None makes none.
    """

    images: int = 40
    sources: int = 56
    crop_padding: int = 2
    flip: bool = True
    noisy_share: float = 0.3
    smallest_noise: float = 2 / 255
    largest_noise: float = 16 / 255
    proxies: ProxySettings | BlackBoxSettings | None = dataclasses.field(default_factory=ProxySettings)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tally:
    """How making proxies went.

    Attributes:
        tried, succeeded: images.
        queries: how often the classifier was asked about them, where that was all it gave.
    """

    tried: int = 0
    succeeded: int = 0
    queries: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            tried=self.tried + other.tried,
            succeeded=self.succeeded + other.succeeded,
            queries=self.queries + other.queries,
        )


NO_TALLY = Tally()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    """Clean images that the classifier gets right, proxies that it gets wrong, and what the proxies truly show."""

    clean: Float[Tensor, "clean channel height width"]
    proxies: Float[Tensor, "proxy channel height width"]
    true_labels: Int64[Tensor, " proxy"]
    tally: Tally = NO_TALLY


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
    """Draw batches for ever; proxies end in labels that clean images of the same batches have.

    Otherwise the label alone would tell them apart, where a classifier knows many more labels than there are images of.

    Every batch costs about `3 × sources × steps + images` forward equivalents, or, without gradients,
    `sources × queries + images` at most.

    Raises:
        CalibrationError: the settings make no proxies.
    """
    if settings.proxies is None:
        raise CalibrationError(
            "these settings make no proxies, and batches of them are needed; calibrate with a family of proxies"
        )
    sources, margins = correctly_classified(classifier, data, chunk)
    allowed = _labels_to_end_in(classifier, sources)
    while True:
        clean_drawn = torch.randint(len(sources), (settings.images,), generator=generator)
        drawn = torch.randint(len(sources), (settings.sources,), generator=generator)
        clean = varied(sources.images[clean_drawn], settings, generator)
        tried = varied(sources.images[drawn], settings, generator)
        labels = sources.labels[drawn].to(classifier.device)
        pixels = to_pixels(tried, classifier.device)
        parts = zip(torch.split(pixels, chunk), torch.split(labels, chunk), strict=True)
        made = [
            _attacked(classifier, images, own, margins, settings.proxies, generator, allowed) for images, own in parts
        ]
        succeeded = torch.cat([part.succeeded for part in made]).nonzero()[:, 0]
        kept = succeeded[: settings.images]
        yield Batch(
            clean=harmless(classifier, clean, sources.labels[clean_drawn], settings, generator, chunk),
            proxies=torch.cat([part.images for part in made])[kept],
            true_labels=labels[kept],
            tally=Tally(
                tried=len(drawn), succeeded=len(succeeded), queries=sum(int(part.queries.sum()) for part in made)
            ),
        )


def _labels_to_end_in(classifier: Classifier, sources: LabelledImages) -> Bool[Tensor, " label"]:
    """Labels that there are images of; all, where there are images of one alone."""
    allowed = torch.zeros(len(classifier.labels), dtype=torch.bool, device=classifier.device)
    allowed[sources.labels.to(allowed.device)] = True
    return allowed if allowed.sum() > 1 else torch.ones_like(allowed)


def _attacked(
    classifier: Classifier,
    images: Images,
    labels: Labels,
    margins: Float[Tensor, " clean"],
    settings: ProxySettings | BlackBoxSettings,
    generator: Generator,
    allowed: Bool[Tensor, " label"],
) -> Attacked:
    match settings:
        case BlackBoxSettings():
            return make_black_box_proxies(classifier, images, labels, margins, settings, generator, allowed)
        case ProxySettings():
            attacked, succeeded = make_proxies(classifier, images, labels, margins, settings, generator, allowed)
            return Attacked(images=attacked, succeeded=succeeded, queries=torch.zeros_like(labels))


def clean_once(
    classifier: Classifier, data: LabelledImages, settings: StreamSettings, generator: Generator, chunk: int
) -> Iterator[Batch]:
    """Every image that the classifier gets right, once, in random order and varied as the stream varies them.

    There is no proxy in any of these batches, which differ in nothing else from those of `stream`.
    """
    sources, _ = correctly_classified(classifier, data, chunk)
    order = torch.randperm(len(sources), generator=generator)
    for rows in torch.split(order, settings.images):
        part = varied(sources.images[rows], settings, generator)
        clean = harmless(classifier, part, sources.labels[rows], settings, generator, chunk)
        yield Batch(clean=clean, proxies=clean[:0], true_labels=sources.labels[rows][:0].to(classifier.device))


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
