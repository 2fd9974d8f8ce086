"""Prototypes chosen among real images: of low loss and far apart, or central."""

import dataclasses

import numpy as np
import torch
from jaxtyping import Float
from sklearn.cluster import KMeans
from torch import Generator, Tensor

from detector.potentials import cross_entropy, pooled
from detector.types import CalibrationError, Classifier, LabelledImages, to_pixels


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidates:
    """Correctly classified images of one label, lowest cross-entropy first.

    Attributes:
        indices: where they stand among the reference images.
        representations: the last representation of each, pooled.
    """

    indices: Tensor
    representations: Float[Tensor, "image dimension"]


@torch.no_grad()
def candidates_by_label(classifier: Classifier, references: LabelledImages, chunk: int) -> dict[int, Candidates]:
    """For every label that has one: the reference images that the classifier gets right."""
    losses, representations, correct = [], [], []
    for start in range(0, len(references), chunk):
        part = references[start : start + chunk]
        outputs = classifier(to_pixels(part.images, classifier.device))
        logits = outputs.logits.cpu()
        losses.append(cross_entropy(logits, part.labels))
        correct.append(logits.argmax(1) == part.labels)
        *_, last = outputs.representations.values()
        representations.append(pooled(last).cpu())
    loss, vector, is_correct = torch.cat(losses), torch.cat(representations), torch.cat(correct)
    found = {}
    for label in sorted(set(references.labels.tolist())):
        members = (is_correct & (references.labels == label)).nonzero()[:, 0]
        if len(members):
            ranked = members[loss[members].argsort(stable=True)]
            found[label] = Candidates(indices=ranked, representations=vector[ranked])
    if not found:
        raise CalibrationError(
            f"the classifier gets none of the {len(references)} reference images right; "
            "check labels, preprocessing and normalisation"
        )
    return found


def spread_out(candidates: Candidates, n_prototypes: int) -> Tensor:
    """Indices of images of low loss that are far from one another: the best, then always the farthest from all chosen.

    Only the half of lower loss takes part, since the farthest of all are outliers (Gonzalez 1985, k-centre).
    """
    pool = max(n_prototypes, (len(candidates.indices) + 1) // 2)
    vectors = candidates.representations[:pool]
    chosen = [0]
    distance = (vectors - vectors[0]).norm(dim=1)
    while len(chosen) < n_prototypes:
        farthest = int(distance.argmax())
        chosen.append(farthest)
        distance = torch.minimum(distance, (vectors - vectors[farthest]).norm(dim=1))
    return candidates.indices[torch.tensor(chosen)]


def medoids(candidates: Candidates, n_prototypes: int, generator: Generator) -> Tensor:
    """Indices of the images nearest to the centres of as many clusters as prototypes are wanted."""
    vectors = candidates.representations.double().numpy()
    n_clusters = min(n_prototypes, len(np.unique(vectors, axis=0)))
    seed = int(torch.randint(2**31, (1,), generator=generator))
    centres = KMeans(n_clusters, n_init=4, random_state=seed).fit(vectors).cluster_centers_
    nearest = [int(np.linalg.norm(vectors - centre, axis=1).argmin()) for centre in centres]
    # With fewer distinct images than prototypes wanted, the last stands in for the missing.
    nearest += [nearest[-1]] * (n_prototypes - n_clusters)
    return candidates.indices[torch.tensor(nearest)]
