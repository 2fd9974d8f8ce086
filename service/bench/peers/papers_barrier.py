"""The paper's paths as detectors: an image is joined to a real image of the label that the classifier gives it."""

import dataclasses
import math
from collections.abc import Callable

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
class PathPeer:
    """Scores the path between an image and the end that its label has.

    Attributes:
        highest: the largest potential on the path that it takes from a start to an end, both of shape
            (1, channel, height, width).
    """

    classifier: Classifier
    ends: RealEnds
    name: str
    source: str
    forward_equivalents: float
    n_images: int | None
    highest: Callable[[LabelPotential, Images, Images], Tensor]

    def scores(self, images: Images) -> Scores:
        """One image at a time, as the paper does."""
        labels = predicted_labels(self.classifier, images)
        found = [self._score(image[None], label[None]) for image, label in zip(images, labels, strict=True)]
        return torch.tensor(found, dtype=torch.float64)

    def _score(self, image: Images, label: Labels) -> float:
        if not self.ends.is_there[label]:
            return math.inf
        label, start = label.to(self.classifier.device), image.to(self.classifier.device)
        potential = label_potential(PotentialKind.CROSS_ENTROPY, self.classifier, label)
        return self.highest(potential, start, self.ends.images[label]).item()


def papers_statistic(classifier: Classifier, ends: RealEnds) -> PathPeer:
    """The highest cross-entropy on the straight path, at 250 points, both ends included."""
    return PathPeer(
        classifier=classifier,
        ends=ends,
        name="The paper's statistic",
        source=f"{PAPER}, our rendering",
        forward_equivalents=1.0 + N_POINTS,
        n_images=None,
        highest=lambda potential, start, end: highest_on_chord(potential, start[0], end[0], 0)[1],
    )


def papers_optimised(classifier: Classifier, ends: RealEnds, n_steps: int = N_STEPS) -> PathPeer:
    """The highest cross-entropy on the path that bends where the paper's optimisation ends."""
    return PathPeer(
        classifier=classifier,
        ends=ends,
        name="The paper's procedure",
        source=f"{PAPER}, our rendering with its optimisation",
        # One pass for the label, and a pair.
        forward_equivalents=1.0 + forward_equivalents(n_steps),
        n_images=20,
        highest=lambda potential, start, end: papers_procedure(potential, start, end, n_steps).highest,
    )
