"""What a classifier makes of many points, in calls of the size that its device runs fastest."""

import dataclasses
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from detector.passes import points_per_forward
from detector.potentials import pooled
from detector.types import Classifier, Images, Outputs


@dataclasses.dataclass(frozen=True, slots=True)
class PooledOutputs:
    """Outputs whose maps are already vectors, so that none of a thousand points' maps is kept.

    Attributes:
        logits: shape (point, label).
        representations: by name; each of shape (point, dimension).
    """

    logits: Float[Tensor, "point label"]
    representations: Mapping[str, Tensor]

    @classmethod
    def of(cls, outputs: Outputs) -> "PooledOutputs":
        """Those of one call; what is a vector already stays one."""
        return cls(outputs.logits, {name: pooled(value) for name, value in outputs.representations.items()})


def pooled_outputs(classifier: Classifier, points: Images) -> PooledOutputs:
    """Call the classifier on any number of points, as many at a time as `points_per_forward` says.

    Differentiable in the points where the classifier is. What one point gives does not depend on the others beyond the
    rounding of the classifier's sums.
    """
    limit = points_per_forward(classifier.input_shape, classifier.device)
    # A graph that is traced leaves the number of points open, and its runtime cuts as it likes.
    if limit is None or torch.compiler.is_compiling() or len(points) <= limit:
        return PooledOutputs.of(classifier(points))
    # Parts of one size each, give or take a point: a small last one would cost more than its share.
    n_calls = -(-len(points) // limit)
    parts = [PooledOutputs.of(classifier(part)) for part in points.tensor_split(n_calls)]
    return PooledOutputs(
        torch.cat([part.logits for part in parts]),
        {name: torch.cat([part.representations[name] for part in parts]) for name in parts[0].representations},
    )
