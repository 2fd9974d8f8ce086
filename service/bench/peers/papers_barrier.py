"""The paper's paths as detectors: an image is joined to a real image of the label that the classifier gives it."""

import dataclasses
import math

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from detector.passes import predicted_labels
from detector.search import LabelPotential, PotentialKind, label_potential
from detector.types import Classifier, Images, LabelledImages, Labels, to_pixels
from service.bench.peers.papers_procedure import (
    N_POINTS,
    N_STEPS,
    forward_equivalents,
    highest_on_chord,
    papers_procedure,
)
from service.bench.peers.peer import Scores

PAPER = "Vrabel et al., ICLR 2025 (arXiv 2409.05800)"


@dataclasses.dataclass(frozen=True, kw_only=True)
class RealEnds:
    """One real image a label, which paths of that label end at.

    Attributes:
        is_there: whether there is one; a path of another label has no end, and its image the score +∞.
    """

    images: Float[Tensor, "label channel height width"]
    is_there: Bool[Tensor, " label"]


def drawn_ends(classifier: Classifier, fitting: LabelledImages, generator: Generator) -> RealEnds:
    """An image of each label that there are images of, drawn once."""
    n_labels = len(classifier.labels)
    ends = torch.zeros(n_labels, *classifier.input_shape)
    is_there = torch.zeros(n_labels, dtype=torch.bool)
    for label in sorted(set(fitting.labels.tolist())):
        rows = (fitting.labels == label).nonzero()[:, 0]
        drawn = rows[torch.randint(len(rows), (), generator=generator)]
        ends[label], is_there[label] = to_pixels(fitting.images[drawn[None]])[0], True
    return RealEnds(images=ends.to(classifier.device), is_there=is_there)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PapersStatistic:
    """The highest cross-entropy on the straight path, at 250 points, both ends included."""

    classifier: Classifier
    ends: RealEnds
    name: str = "The paper's statistic"
    source: str = f"{PAPER}, our rendering"
    forward_equivalents: float = 1.0 + N_POINTS
    n_images: int | None = None

    def scores(self, images: Images) -> Scores:
        """One image at a time, as the paper does."""
        labels = predicted_labels(self.classifier, images)
        found = [self._score(image[None], label[None]) for image, label in zip(images, labels, strict=True)]
        return torch.tensor(found, dtype=torch.float64)

    def _score(self, image: Images, label: Labels) -> float:
        if not self.ends.is_there[label]:
            return math.inf
        potential, start, end = _path_of(self.classifier, self.ends, image, label)
        return highest_on_chord(potential, start[0], end[0], 0)[1].item()


@dataclasses.dataclass(frozen=True, kw_only=True)
class PapersProcedure:
    """The highest cross-entropy on the path that bends where the paper's optimisation ends."""

    classifier: Classifier
    ends: RealEnds
    name: str = "The paper's procedure"
    source: str = f"{PAPER}, our rendering with its optimisation"
    n_images: int | None = 20
    n_steps: int = N_STEPS

    @property
    def forward_equivalents(self) -> float:
        """One forward pass for the label, and a pair."""
        return 1.0 + forward_equivalents(self.n_steps)

    def scores(self, images: Images) -> Scores:
        """One image at a time, as the paper does."""
        labels = predicted_labels(self.classifier, images)
        found = [self._score(image[None], label[None]) for image, label in zip(images, labels, strict=True)]
        return torch.tensor(found, dtype=torch.float64)

    def _score(self, image: Images, label: Labels) -> float:
        if not self.ends.is_there[label]:
            return math.inf
        potential, start, end = _path_of(self.classifier, self.ends, image, label)
        return papers_procedure(potential, start, end, self.n_steps).highest.item()


def _path_of(
    classifier: Classifier, ends: RealEnds, image: Images, label: Labels
) -> tuple[LabelPotential, Images, Images]:
    """The cross-entropy of the label, and both ends of its path."""
    label, start = label.to(classifier.device), image.to(classifier.device)
    return label_potential(PotentialKind.CROSS_ENTROPY, classifier, label), start, ends.images[label]
