"""Makes the prototypes of every label, by kind."""

import dataclasses
import math
from collections.abc import Callable, Mapping

import torch
from torch import Generator, Tensor

from detector.prototypes.prototype_set import PrototypeKind, PrototypeSet
from detector.prototypes.selection import candidates_by_label, medoids, spread_out
from detector.prototypes.star import StarSettings, star_centres
from detector.prototypes.synthesis import VisualisationSettings, feature_visualised, grey_images, noise_images
from detector.types import Classifier, LabelledImages, ProgressCallback, StoredImages, to_pixels, to_stored

NUMBERS_AT_ONCE = 2**23
"""Pixel values that are held as floats together, 32 MiB: 55 images of 3×224×224."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Workshop:
    """What prototypes are made from.

    Attributes:
        labels: those that get prototypes.
        chunk: images in one forward pass.
    """

    classifier: Classifier
    references: LabelledImages
    labels: tuple[int, ...]
    n_prototypes: int
    visualisation: VisualisationSettings
    star: StarSettings
    generator: Generator
    chunk: int
    progress: ProgressCallback

    @property
    def n_wanted(self) -> int:
        """Prototypes in all."""
        return len(self.labels) * self.n_prototypes


def make_prototypes(kind: PrototypeKind, workshop: Workshop) -> PrototypeSet:
    """The same number of prototypes for each label in the workshop; any kind but the learned, which start as another.

    Raises:
        CalibrationError: real ones or star centres are asked for, and the classifier gets no reference image right.
    """
    n_labels = len(workshop.classifier.labels)
    made = _MAKERS[kind](workshop)
    n_prototypes = 0 if kind is PrototypeKind.NONE else workshop.n_prototypes
    images = torch.zeros((n_labels, n_prototypes, *workshop.classifier.input_shape), dtype=torch.uint8)
    images[list(workshop.labels)] = made.view(len(workshop.labels), n_prototypes, *workshop.classifier.input_shape)
    available = torch.zeros(n_labels, dtype=torch.bool)
    available[list(workshop.labels)] = True
    return PrototypeSet(images=images, available=available, kinds=(kind,) * n_prototypes)


def _real(workshop: Workshop) -> StoredImages:
    return _chosen(workshop, lambda candidates: spread_out(candidates, workshop.n_prototypes))


def _medoid(workshop: Workshop) -> StoredImages:
    return _chosen(workshop, lambda candidates: medoids(candidates, workshop.n_prototypes, workshop.generator))


def _chosen(workshop: Workshop, choose: Callable[..., Tensor]) -> StoredImages:
    found = candidates_by_label(workshop.classifier, workshop.references, workshop.chunk)
    return torch.cat([workshop.references.images[choose(found[label])] for label in workshop.labels])


def _other_label(workshop: Workshop) -> StoredImages:
    """Real prototypes, each given to the label after its own."""
    own = _real(workshop).view(len(workshop.labels), workshop.n_prototypes, *workshop.classifier.input_shape)
    return own.roll(1, 0).flatten(0, 1)


def _visualised(workshop: Workshop) -> StoredImages:
    labels = torch.tensor(workshop.labels).repeat_interleave(workshop.n_prototypes)
    made: list[StoredImages] = []
    for part in torch.split(labels, _at_once(workshop)):
        before = sum(map(len, made))

        def report(stage: str, done: int, total: int, before: int = before, n_images: int = len(part)) -> None:
            per_image = total // n_images
            workshop.progress(stage, before * per_image + done, len(labels) * per_image)

        images = feature_visualised(
            workshop.classifier, part, workshop.visualisation, workshop.generator, workshop.chunk, report
        )
        made.append(to_stored(images))
    return torch.cat(made)


def _at_once(workshop: Workshop) -> int:
    """How many images may lie in memory with pixels as floats."""
    return max(1, NUMBERS_AT_ONCE // math.prod(workshop.classifier.input_shape))


def _star(workshop: Workshop) -> StoredImages:
    found = candidates_by_label(workshop.classifier, workshop.references, workshop.chunk)
    return to_stored(
        star_centres(
            workshop.classifier,
            torch.tensor(workshop.labels).repeat_interleave(workshop.n_prototypes),
            to_pixels(_visualised(workshop)),
            workshop.references.images,
            {label: found[label].indices for label in workshop.labels},
            workshop.star,
            workshop.generator,
            workshop.chunk,
            workshop.progress,
        )
    )


def _noise(workshop: Workshop) -> StoredImages:
    shape, generator = workshop.classifier.input_shape, workshop.generator
    parts = torch.split(torch.arange(workshop.n_wanted), _at_once(workshop))
    return torch.cat([to_stored(noise_images(len(part), shape, generator)) for part in parts])


def _grey(workshop: Workshop) -> StoredImages:
    return to_stored(grey_images(1, workshop.classifier.input_shape)).repeat(workshop.n_wanted, 1, 1, 1)


def _none(workshop: Workshop) -> StoredImages:
    return torch.zeros((0, *workshop.classifier.input_shape), dtype=torch.uint8)


_MAKERS: Mapping[PrototypeKind, Callable[[Workshop], StoredImages]] = {
    PrototypeKind.REAL: _real,
    PrototypeKind.MEDOID: _medoid,
    PrototypeKind.FEATURE_VISUALISED: _visualised,
    PrototypeKind.STAR: _star,
    PrototypeKind.NOISE: _noise,
    PrototypeKind.GREY: _grey,
    PrototypeKind.OTHER_LABEL: _other_label,
    PrototypeKind.NONE: _none,
}
