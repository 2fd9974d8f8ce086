"""Judges natural, corrupted and attacked images with one detector, and says how well it did."""

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence

from detector.calibration.splits import image_digests
from detector.detector import Detector
from detector.evaluation.attacked import AttackedImages
from detector.evaluation.benign import CORRUPTIONS, BenignFigures, benign_figures, benign_images
from detector.evaluation.corruptions import SEVERITIES
from detector.evaluation.judgements import Judgement, false_positives, judge
from detector.evaluation.results import DetectorFigures, attack_figures, worst_case_of
from detector.evaluation.score_table import Group, ScoredGroup, groups_of_attacks
from detector.types import LabelledImages, ProgressCallback, to_pixels


@dataclasses.dataclass(frozen=True, kw_only=True)
class JudgedImages:
    """What every detector of a run is judged on.

    Attributes:
        clean: correctly classified natural images, at least one.
        corruptible: those of them that are corrupted.
    """

    clean: LabelledImages
    misclassified: LabelledImages
    corruptible: LabelledImages
    attacked: Mapping[str, AttackedImages]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluated:
    """One detector on a run's images.

    Attributes:
        judgements: by attack, those without a success left out, and `clean`.
        scores: of everything that was judged.
    """

    figures: DetectorFigures
    judgements: Mapping[str, Judgement]
    scores: Sequence[ScoredGroup]


def evaluate_detector(
    name: str, detector: Detector, images: JudgedImages, *, seed: int, progress: ProgressCallback
) -> Evaluated:
    """Judge everything with one detector."""
    started = time.perf_counter()
    clean = judge(detector, to_pixels(images.clean.images), progress)
    seconds = time.perf_counter() - started
    misclassified = judge(detector, to_pixels(images.misclassified.images), progress)
    judged = {
        attack: judge(detector, made.images, progress) for attack, made in images.attacked.items() if len(made.sources)
    }
    benign = list(_benign(name, detector, images.corruptible, seed, progress))
    figures = DetectorFigures(
        name=name,
        forward_equivalents=detector.bundle.expected_forward_equivalents,
        images_per_second=len(images.clean) / seconds,
        clean=false_positives(clean),
        misclassified=false_positives(misclassified),
        attacks={
            attack: attack_figures(clean, images.attacked[attack], found, seed) for attack, found in judged.items()
        },
        worst_case=worst_case_of(clean, images.attacked, judged, seed),
        benign=tuple(found for found, _ in benign),
    )
    scores = (
        natural_group(name, Group.CLEAN, images.clean, clean),
        natural_group(name, Group.MISCLASSIFIED, images.misclassified, misclassified),
        *groups_of_attacks(name, image_digests(images.clean.images), images.attacked, judged),
        *(rows for _, rows in benign),
    )
    return Evaluated(figures=figures, judgements={"clean": clean, **judged}, scores=scores)


def natural_group(bundle: str, group: Group, data: LabelledImages, judged: Judgement) -> ScoredGroup:
    """The scores of images that nobody changed."""
    return ScoredGroup(
        bundle=bundle, group=group, sources=image_digests(data.images), true_labels=data.labels, judgement=judged
    )


def _benign(
    name: str, detector: Detector, clean: LabelledImages, seed: int, progress: ProgressCallback
) -> Iterator[tuple[BenignFigures, ScoredGroup]]:
    """Each corruption at each severity: its figures, and the scores behind them."""
    digests = image_digests(clean.images)
    for corruption in CORRUPTIONS:
        for severity in SEVERITIES:
            made = benign_images(detector.classifier, clean, corruption, severity, seed)
            judged = judge(detector, to_pixels(made.images.images), progress)
            rows = ScoredGroup(
                bundle=name,
                group=Group.BENIGN,
                name=f"{corruption.value}-{severity}",
                sources=[digests[index] for index in made.sources.tolist()],
                true_labels=made.images.labels,
                judgement=judged,
            )
            yield benign_figures(made, judged), rows
