"""One run: attack images that calibration never saw, and judge them with one or more detectors of one classifier."""

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from detector.calibration.splits import without_digests
from detector.detector import Detector
from detector.evaluation.attacked import AttackedImages, SkippedAttack
from detector.evaluation.attacks import AttackSpec
from detector.evaluation.baselines import BaselineFigures
from detector.evaluation.evaluating import JudgedImages, evaluate_detector
from detector.evaluation.judgements import Judgement
from detector.evaluation.results import DetectorFigures
from detector.evaluation.resuming import attacked_images
from detector.evaluation.score_table import ScoredGroup
from detector.evaluation.shards import MemoryShards, ShardStore
from detector.passes import predicted_labels, waypoints_per_pass
from detector.types import Classifier, ImageError, LabelledImages, ProgressCallback, no_progress, to_pixels

FEWEST_CLEAN = 2
"""Of fewer clean images no share and no interval says anything."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """What was run and what came out.

    Attributes:
        clean: correctly classified images; false positives are counted on all of them, attacks run on the first ones.
        misclassified: natural images that the classifier gets wrong.
        n_seen: images left out because a bundle's calibration had seen them.
        specs: the attacks asked for.
        skipped: why an attack gave nothing to judge, by its name.
        figures: by name of the detector, in the order given.
        judgements: by name of the detector, then by attack and `clean`.
        baselines: detectors of others, by name, fitted on what the first detector was calibrated with.
        scores: of every image by every detector.
    """

    clean: LabelledImages
    misclassified: LabelledImages
    n_seen: int
    specs: tuple[AttackSpec, ...]
    attacked: Mapping[str, AttackedImages]
    skipped: Mapping[str, str]
    figures: Mapping[str, DetectorFigures]
    judgements: Mapping[str, Mapping[str, Judgement]]
    baselines: Mapping[str, BaselineFigures] = dataclasses.field(default_factory=dict)
    scores: Sequence[ScoredGroup] = ()

    @property
    def accuracy(self) -> float:
        """Share of the images left that the classifier gets right."""
        return len(self.clean) / (len(self.clean) + len(self.misclassified))


def run_experiment(
    detectors: Mapping[str, Detector],
    data: LabelledImages,
    specs: Sequence[AttackSpec],
    *,
    limit: int,
    seed: int,
    shards: ShardStore | None = None,
    progress: ProgressCallback = no_progress,
) -> Experiment:
    """Judge clean, corrupted and attacked images with every detector; all see the same images.

    Args:
        detectors: by name; all of one classifier.
        limit: clean images that each attack is run on, and that are corrupted, at most.
        shards: where finished attacks are, and are kept; by default nowhere.

    Raises:
        ImageError: too little is left to evaluate on.
    """
    classifier = next(iter(detectors.values())).classifier
    unseen, clean, misclassified = _parted(detectors, data, classifier)
    made = _attacked(specs, classifier, clean[:limit], shards or MemoryShards(), seed, progress)
    attacked = {name: found for name, found in made.items() if isinstance(found, AttackedImages)}
    images = JudgedImages(clean=clean, misclassified=misclassified, corruptible=clean[:limit], attacked=attacked)
    found = {
        name: evaluate_detector(name, detector, images, seed=seed, progress=progress)
        for name, detector in detectors.items()
    }
    return Experiment(
        clean=clean,
        misclassified=misclassified,
        n_seen=len(data) - len(unseen),
        specs=tuple(specs),
        attacked=attacked,
        skipped={name: skipped.reason for name, skipped in made.items() if isinstance(skipped, SkippedAttack)},
        figures={name: one.figures for name, one in found.items()},
        judgements={name: one.judgements for name, one in found.items()},
        scores=tuple(rows for one in found.values() for rows in one.scores),
    )


def _attacked(
    specs: Sequence[AttackSpec],
    classifier: Classifier,
    clean: LabelledImages,
    shards: ShardStore,
    seed: int,
    progress: ProgressCallback,
) -> dict[str, AttackedImages | SkippedAttack]:
    chunk = waypoints_per_pass(classifier.input_shape)
    return {
        spec.name: attacked_images(spec, classifier, clean, shards, seed=seed, chunk=chunk, progress=progress)
        for spec in specs
    }


def _parted(
    detectors: Mapping[str, Detector], data: LabelledImages, classifier: Classifier
) -> tuple[LabelledImages, LabelledImages, LabelledImages]:
    """The images that no calibration has seen, and which of them the classifier gets right and wrong."""
    unseen = without_digests(data, frozenset().union(*(one.bundle.used_digests for one in detectors.values())))
    is_correct = _correct(classifier, unseen)
    clean, misclassified = _dealt(unseen[is_correct]), unseen[~is_correct]
    if len(clean) < FEWEST_CLEAN:
        raise ImageError(
            f"of {len(data)} images, {len(data) - len(unseen)} were used in calibration and {len(clean) or 'none'} of "
            f"the rest is classified correctly, where at least {FEWEST_CLEAN} are needed; give images that calibration "
            "has not seen (isthmus calibrate --reserve keeps some)"
        )
    return unseen, clean, misclassified


def _dealt(data: LabelledImages) -> LabelledImages:
    """Images that come sorted by label, as folders of classes do, dealt out so that the first ones hold every label."""
    if not (data.labels.diff() >= 0).all():
        return data
    seen: dict[int, int] = {}
    turns = []
    for label in data.labels.tolist():
        seen[label] = seen.get(label, 0) + 1
        turns.append(seen[label])
    return data[torch.tensor(turns, dtype=torch.int64).argsort(stable=True)]


def _correct(classifier: Classifier, data: LabelledImages) -> Tensor:
    if len(data) == 0:
        return torch.zeros(0, dtype=torch.bool)
    return predicted_labels(classifier, to_pixels(data.images)) == data.labels
