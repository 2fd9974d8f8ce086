"""False alarms on natural images that have been changed by accident: compressed, blurred, noisy.

Only images that the classifier still gets right count: of the others, whose label has changed, nobody can say that
flagging them was wrong.
"""

import dataclasses

from torch import Generator, Tensor

from detector.evaluation.corruptions import Corruption, corrupted
from detector.evaluation.judgements import FalsePositives, Judgement, false_positives
from detector.passes import predicted_labels
from detector.types import Classifier, LabelledImages, to_pixels

CORRUPTIONS = tuple(Corruption)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenignImages:
    """Corrupted images that the classifier still gets right.

    Attributes:
        sources: index of the clean image of each, shape (image,).
        n_tried: images that were corrupted.
    """

    corruption: Corruption
    severity: int
    images: LabelledImages
    sources: Tensor
    n_tried: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenignFigures:
    """How many natural images were flagged after one corruption.

    Attributes:
        n: images that the classifier still gets right; only they are judged.
        still_right: their share of those corrupted.
        false_positives: at each rate of the tables; none where no image is left.
    """

    corruption: Corruption
    severity: int
    n: int
    still_right: float
    false_positives: tuple[FalsePositives, ...]


def benign_images(
    classifier: Classifier, clean: LabelledImages, corruption: Corruption, severity: int, seed: int
) -> BenignImages:
    """Corrupt correctly classified images, at least one, and keep those that still are.

    The same seed draws the same noise, whatever else is corrupted.
    """
    changed = corrupted(clean.images, corruption, severity, Generator().manual_seed(seed))
    is_right = predicted_labels(classifier, to_pixels(changed)) == clean.labels
    return BenignImages(
        corruption=corruption,
        severity=severity,
        images=LabelledImages(images=changed, labels=clean.labels)[is_right],
        sources=is_right.nonzero()[:, 0],
        n_tried=len(clean),
    )


def benign_figures(made: BenignImages, judged: Judgement) -> BenignFigures:
    """Figures from the verdicts on the images that are still right."""
    return BenignFigures(
        corruption=made.corruption,
        severity=made.severity,
        n=len(made.images),
        still_right=len(made.images) / made.n_tried,
        false_positives=false_positives(judged),
    )
