"""How what the classifier says along a path becomes columns that a head can read."""

import torch
from jaxtyping import Float
from torch import Tensor

from detector.types import Labels


def claims_of(
    logits: Float[Tensor, "image label"],
    labels: Labels,
    takeover: Float[Tensor, "image label"],
    distances: Float[Tensor, "image label block"],
    path_distances: Float[Tensor, "image label block"],
) -> Float[Tensor, "image label claim"]:
    """What speaks for each label: log-odds at the image, takeover, distances at the image and their change."""
    log_odds = logits - logits.gather(1, labels[:, None])
    own = torch.stack([log_odds, takeover], 2)
    return torch.cat([own, distances, path_distances - distances], 2)


def gains_since(
    logits: Float[Tensor, "image label"], start_logits: Float[Tensor, "image label"], labels: Labels
) -> Float[Tensor, "image label"]:
    """Change, since the start of the path, of each label's log-odds against the predicted label."""
    change = logits - start_logits
    return change - change.gather(1, labels[:, None])


def largest_other(values: Float[Tensor, "image label"], labels: Labels) -> Float[Tensor, "image 1"]:
    """Largest value among the labels that are not the one in question."""
    return values.scatter(1, labels[:, None], -torch.inf).amax(1, keepdim=True)


def summary(
    path_features: Float[Tensor, "image waypoint_feature prototype"],
) -> Float[Tensor, "image feature"]:
    """Mean over the prototypes, and how far they disagree; one prototype alone cannot disagree with itself."""
    mean = path_features.mean(2)
    if path_features.shape[2] == 1:
        return mean
    spread = (path_features.var(2, unbiased=False) + 1e-6).sqrt()
    return torch.cat([mean, spread], 1)
