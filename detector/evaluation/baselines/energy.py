"""The free energy of the logits (Liu et al. 2020, arXiv 2010.03759)."""

import dataclasses

from jaxtyping import Float
from torch import Tensor

from detector.types import Classifier, Images


@dataclasses.dataclass(frozen=True, kw_only=True)
class Energy:
    """`-log Σ exp(logit)` at temperature one; low where the classifier has seen much like the image."""

    classifier: Classifier
    name: str = "energy"
    title: str = "Free energy of the logits (Liu et al. 2020)"
    forward_equivalents: float = 1.0

    def measure(self, images: Images) -> Float[Tensor, " image"]:
        """One forward pass an image."""
        return -self.classifier(images).logits.logsumexp(1)
