"""How unsure the classifier is of its own label (Hendrycks & Gimpel 2017, arXiv 1610.02136)."""

import dataclasses

from jaxtyping import Float
from torch import Tensor

from detector.potentials import log_cross_entropy
from detector.types import Classifier, Images


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaxSoftmax:
    """Logarithm of minus the log-probability of the predicted label: falls as the largest probability rises.

    The probability itself rounds to one for sure images, which then could not be told apart.
    """

    classifier: Classifier
    name: str = "max-softmax"
    title: str = "Largest softmax probability (Hendrycks & Gimpel 2017)"
    forward_equivalents: float = 1.0

    def measure(self, images: Images) -> Float[Tensor, " image"]:
        """One forward pass an image."""
        logits = self.classifier(images).logits
        return log_cross_entropy(logits, logits.argmax(1))
