"""Whether slope and curvature at an image foretell the barrier of the straight path from it.

After the second-order account of barriers of Singh et al. 2024 (arXiv 2406.16300), which is about paths between
networks; `detector.curvature` carries it over to paths between images.
"""

import torch
from torch import Generator

from detector.curvature import predicted_barriers
from detector.paths import barrier_height
from detector.search import PotentialKind, label_potential
from detector.types import Images, LabelledImages, Labels, ProgressCallback, to_pixels
from service.errors import InputError
from service.studies.curvature_report import report_of
from service.studies.curvature_statistics import Foretold
from service.studies.report import StudyReport, StudyRequest
from service.studies.subject import Subject, open_subject, straight_profiles

N_IMAGES = 64
N_PROTOTYPES = 8
KINDS = (PotentialKind.CROSS_ENTROPY, PotentialKind.LOG_CROSS_ENTROPY, PotentialKind.MARGIN)


def run(request: StudyRequest, progress: ProgressCallback) -> StudyReport:
    """Predict and measure the paths from each image to real prototypes of its label; `limit` counts images.

    Raises:
        InputError: images are missing or too few.
    """
    n_images = request.limit or N_IMAGES
    n_read = max(40 * N_PROTOTYPES * 2, 2 * n_images)
    subject = open_subject(request, classifier="cifar10-resnet20", n_images=n_read, progress=progress)
    images, labels, prototypes = _drawn(subject, n_images, request.seed)
    starts = images.repeat_interleave(N_PROTOTYPES, 0)
    ends, path_labels = prototypes.flatten(0, 1), labels.repeat_interleave(N_PROTOTYPES)
    chords = (ends - starts).flatten(1).norm(dim=1).view(n_images, N_PROTOTYPES)
    foretold = {}
    for done, kind in enumerate(KINDS):
        foretold[str(kind)] = _foretold(subject, kind, starts, ends, path_labels, n_images)
        progress("expanding and measuring", done + 1, len(KINDS))
    return report_of(foretold, chords.double().numpy(), subject.facts, request.seed)


def _foretold(
    subject: Subject, kind: PotentialKind, starts: Images, ends: Images, labels: Labels, n_images: int
) -> Foretold:
    potential = label_potential(kind, subject.classifier, labels)
    profiles = straight_profiles(potential, starts, ends)
    predicted = predicted_barriers(potential, starts, ends, end_values=profiles[:, -1]).barriers
    shape = (n_images, -1)
    return Foretold(
        unit=kind.unit,
        predicted=predicted.double().view(shape).numpy(),
        true=barrier_height(profiles).double().view(shape).numpy(),
        at_prototype=profiles[:, -1].double().view(shape).numpy(),
        n_points=profiles.shape[1],
    )


def _drawn(subject: Subject, n_images: int, seed: int) -> tuple[Images, Labels, Images]:
    """Images, their labels, and for each the prototypes of its label: others that no image is."""
    order = torch.randperm(len(subject.images), generator=Generator().manual_seed(seed))
    prototypes, rest = {}, []
    for label in range(len(subject.classifier.labels)):
        of_label = order[subject.images.labels[order] == label]
        prototypes[label] = of_label[:N_PROTOTYPES]
        rest.append(of_label[N_PROTOTYPES:])
    left = torch.cat(rest)
    too_few = [label for label, chosen in prototypes.items() if len(chosen) < N_PROTOTYPES]
    if too_few or len(left) < n_images:
        raise InputError(
            f"{len(subject.images)} correctly classified images do not give {N_PROTOTYPES} prototypes a label and "
            f"{n_images} images besides; give more images, or lower --limit"
        )
    chosen = left[torch.randperm(len(left), generator=Generator().manual_seed(seed))[:n_images]]
    data: LabelledImages = subject.images
    ends = torch.stack([to_pixels(data.images[prototypes[label]]) for label in data.labels[chosen].tolist()])
    return to_pixels(data.images[chosen]), data.labels[chosen], ends
