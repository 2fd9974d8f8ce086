"""Whether prototypes are still of their class, in the eyes of the classifier."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from detector.passes import waypoints_per_pass
from detector.potentials import cross_entropy
from detector.types import Classifier


def excesses(
    classifier: Classifier,
    prototype_logits: Float[Tensor, "label prototype channel height width"],
    labels: Int64[Tensor, " chosen"],
    allowance: float,
) -> Iterator[Float[Tensor, " prototype"]]:
    """How far the cross-entropy of prototypes for their own label exceeds an allowance, in nats; 0 where it does not.

    Yields the prototypes of the labels chosen, one forward pass after the other, each with a graph of its own.

    Args:
        prototype_logits: a sigmoid makes pixels of them.
    """
    n_prototypes = prototype_logits.shape[1]
    places = torch.arange(n_prototypes, device=labels.device)
    rows = (labels[:, None] * n_prototypes + places).flatten()
    for part in torch.split(rows, waypoints_per_pass(classifier.input_shape)):
        outputs = classifier(prototype_logits.flatten(0, 1)[part].sigmoid())
        yield functional.relu(cross_entropy(outputs.logits, part // n_prototypes) - allowance)
