"""Which labels lay claim to an image, and how near their prototypes are."""

import dataclasses
import math

import torch
from jaxtyping import Float
from torch import Tensor

from detector.detector import Detector
from detector.evaluation.path_profiles import profiles_of
from detector.paths import barrier_height, straight_paths
from detector.potentials import blocks_of
from detector.profiles import PathEvidence
from detector.search import PotentialKind
from detector.types import to_pixels

MOST_LABELS = 10
"""Labels whose standing is told."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelStanding:
    """What speaks for one label.

    Attributes:
        probability: the classifier's, at the image.
        takeover: how far its log-odds gain on the predicted label along the paths, in nats; 0 for that label itself.
        log_distance: to the label's Gaussian at the image, averaged over the blocks; about 0 for a typical image.
        standing: weighted sum of its claims, by which the suspected label is named; None for the predicted label,
            which has no part in that contest.
    """

    label: int
    probability: float
    takeover: float
    log_distance: float
    standing: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrototypeLink:
    """One prototype as seen from the image.

    Attributes:
        prototype: index among those of its label.
        picture: pixels in [0, 1].
        log_distance: logarithm of the squared Mahalanobis distance per dimension between the image's representations
            and the prototype's, under the label's covariance, averaged over the blocks.
        barrier: of the straight path, measured by the prototype's own label, in the potential's unit.
    """

    label: int
    prototype: int
    picture: Float[Tensor, "channel height width"]
    log_distance: float
    barrier: float


def label_standings(detector: Detector, paths: PathEvidence) -> tuple[LabelStanding, ...]:
    """The predicted label of the first image, then the others by the strength of their claims, `MOST_LABELS` at most.

    The sum is the one that `detector.judging.suspected_labels` compares.
    """
    claims = paths.claims[0].cpu()
    standing = claims @ detector.bundle.claim_weights.cpu()
    # Of a label's claims the first two are its log-odds and takeover; then come the log-distances at the image, one a
    # block, and as many changes of them.
    n_blocks = (claims.shape[1] - 2) // 2
    distances = claims[:, 2 : 2 + n_blocks].mean(1)
    probabilities = paths.logits[0].softmax(0)
    predicted = int(paths.labels[0])
    # A standing that is no number tells nothing, so it comes last.
    order = standing.nan_to_num(nan=-torch.inf).argsort(descending=True, stable=True).tolist()
    chosen = [predicted, *(label for label in order if label != predicted)][:MOST_LABELS]
    return tuple(
        LabelStanding(
            label=label,
            probability=probabilities[label].item(),
            takeover=paths.takeover[0, label].item(),
            log_distance=distances[label].item(),
            standing=None if label == predicted else standing[label].item(),
        )
        for label in chosen
    )


def runner_up(standings: tuple[LabelStanding, ...]) -> int | None:
    """The label with the strongest claim besides the predicted one; None where no claim is a number."""
    best = standings[1].standing if len(standings) > 1 else None
    return None if best is None or math.isnan(best) else standings[1].label


@torch.no_grad()
def prototype_links(
    detector: Detector, image: Float[Tensor, "channel height width"], label: int, kind: PotentialKind, n_points: int
) -> list[PrototypeLink]:
    """All prototypes of a label, the nearest in representation first; none where the bundle has none.

    Args:
        image: on the classifier's device.
        n_points: points at which each straight path is measured.
    """
    bundle, device = detector.bundle, detector.classifier.device
    if bundle.prototypes.n_prototypes == 0 or not bundle.prototypes.available[label]:
        return []
    pictures = to_pixels(bundle.prototypes.images[label], device)
    starts = image.expand_as(pictures)
    labels = torch.full((len(pictures),), label, device=device)
    mixing = torch.linspace(0, 1, n_points, device=device)
    barriers = barrier_height(profiles_of(detector, straight_paths(starts, pictures, mixing), labels)[kind])
    distances = _log_distances(detector, image, pictures, label)
    links = [
        PrototypeLink(label=label, prototype=index, picture=picture, log_distance=distance, barrier=barrier)
        for index, (picture, distance, barrier) in enumerate(
            zip(pictures.cpu(), distances.tolist(), barriers.tolist(), strict=True)
        )
    ]
    return sorted(links, key=lambda link: (math.isnan(link.log_distance), link.log_distance))


def _log_distances(
    detector: Detector, image: Tensor, pictures: Float[Tensor, "prototype channel height width"], label: int
) -> Float[Tensor, " prototype"]:
    at_prototypes, at_image = detector.classifier(pictures), detector.classifier(image[None])
    ends = blocks_of(at_prototypes.logits, at_prototypes.representations)
    columns = []
    for name, block in blocks_of(at_image.logits, at_image.representations).items():
        gaussians = detector.bundle.gaussians[name].to(block.device)
        columns.append(gaussians.log_distances_between(block, ends[name], label)[0])
    return torch.stack(columns).mean(0).cpu()
