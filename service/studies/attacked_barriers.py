"""Whether straight paths to real images rise higher from attacked images than from clean ones.

Vrabel et al. (ICLR 2025, arXiv 2409.05800) found that they do. Every path ends at a real image of the label that the
classifier names, and what is measured is the cross-entropy of that label.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Generator

from detector.evaluation.attacked import AttackedImages, attack_all
from detector.evaluation.attacks import SUITE
from detector.evaluation.metrics import Estimate, auroc_estimate
from detector.passes import predicted_labels, waypoints_per_pass
from detector.paths import barrier_height
from detector.search import PotentialKind, label_potential
from detector.types import Images, LabelledImages, Labels, ProgressCallback, to_pixels
from service.errors import InputError
from service.studies.attacked_barriers_report import REFERENCE, AttackedBarriers, PathFigures, report_of
from service.studies.report import StudyReport, StudyRequest
from service.studies.subject import N_POINTS, Subject, open_subject, straight_profiles

N_ATTACKED = 96
IMAGES_PER_ATTACKED = 12
LEAST = 2
"""Successes of an attack below which there is no figure for it."""

_NONE = np.zeros(0)


def run(request: StudyRequest, progress: ProgressCallback) -> StudyReport:
    """Attack correctly classified images and measure one straight path an image; `limit` counts attacked images.

    Raises:
        InputError: images are missing or too few.
    """
    n_attacked = request.limit or N_ATTACKED
    subject = open_subject(
        request, classifier="cifar10-resnet20", n_images=n_attacked * IMAGES_PER_ATTACKED, progress=progress
    )
    generator = Generator().manual_seed(request.seed)
    clean, references = _parts(subject, n_attacked, generator)
    chunk = min(64, waypoints_per_pass(subject.classifier.input_shape))
    attacked = attack_all(
        SUITE, subject.classifier, clean[:n_attacked], seed=request.seed, chunk=chunk, progress=progress
    )
    groups = {REFERENCE: _measured(subject, to_pixels(clean.images), clean.labels, references, generator)}
    for done, (name, found) in enumerate(attacked.items()):
        labels = predicted_labels(subject.classifier, found.images) if len(found.images) else found.true_labels
        groups[name] = _measured(subject, found.images, labels, references, generator)
        progress("measuring paths", done + 1, len(attacked))
    measured = AttackedBarriers(
        groups=groups,
        success={name: found.success_rate for name, found in attacked.items()},
        aurocs={name: _aurocs(groups, name, request.seed) for name in attacked if _is_enough(attacked[name])},
        n_tried=n_attacked,
        n_references=len(references),
    )
    return report_of(measured, subject.facts, request.seed)


def _parts(subject: Subject, n_attacked: int, generator: Generator) -> tuple[LabelledImages, LabelledImages]:
    """Twice as many clean images as are attacked, and the references: all others, with each label among them."""
    images = subject.images[torch.randperm(len(subject.images), generator=generator)]
    clean, references = images[: 2 * n_attacked], images[2 * n_attacked :]
    missing = [name for index, name in enumerate(subject.classifier.labels) if not (references.labels == index).any()]
    if missing:
        raise InputError(
            f"{len(images)} correctly classified images leave no reference of {', '.join(missing)} beside "
            f"{2 * n_attacked} clean ones; give more images, or lower --limit"
        )
    return clean, references


def _measured(
    subject: Subject, images: Images, labels: Labels, references: LabelledImages, generator: Generator
) -> PathFigures:
    """One path an image, from a reference of its label drawn at random."""
    if len(images) == 0:
        return PathFigures(barriers=_NONE, highest=_NONE, at_image=_NONE, midway=_NONE)
    chosen = []
    for label in labels.tolist():
        candidates = (references.labels == label).nonzero()[:, 0]
        chosen.append(candidates[torch.randint(len(candidates), (1,), generator=generator)])
    starts = to_pixels(references.images[torch.cat(chosen)])
    potential = label_potential(PotentialKind.CROSS_ENTROPY, subject.classifier, labels)
    profiles = straight_profiles(potential, starts, images, N_POINTS).double()
    return PathFigures(
        barriers=barrier_height(profiles).numpy(),
        highest=profiles.amax(1).numpy(),
        at_image=profiles[:, -1].numpy(),
        midway=profiles[:, N_POINTS // 2].numpy(),
    )


def _is_enough(found: AttackedImages) -> bool:
    return len(found.images) >= LEAST


def _aurocs(groups: Mapping[str, PathFigures], name: str, seed: int) -> dict[str, Estimate]:
    clean, attacked = groups[REFERENCE].by_name(), groups[name].by_name()
    return {kind: auroc_estimate(clean[kind], attacked[kind], seed) for kind in clean}
