"""How much the softmax moves when detail is squeezed out of the image (Xu et al. 2018, arXiv 1704.01155).

The paper's squeezers for colour images but its non-local means.
"""

import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from detector.types import Classifier, Images


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeatureSqueezing:
    """Largest L1 distance, over squeezers, between the softmax of the image and of the squeezed image: 0 to 2.

    Attributes:
        bits: depth that pixels are reduced to.
    """

    classifier: Classifier
    bits: int = 5
    name: str = "feature-squeezing"
    title: str = "Feature squeezing, bit depth and median (Xu et al. 2018)"
    forward_equivalents: float = 3.0

    def measure(self, images: Images) -> Float[Tensor, " image"]:
        """Three forward passes an image."""
        usual = self.classifier(images).logits.softmax(1)
        squeezed = (with_bit_depth(images, self.bits), median_of_four(images))
        moved = [(self.classifier(part).logits.softmax(1) - usual).abs().sum(1) for part in squeezed]
        return torch.stack(moved).amax(0)


def with_bit_depth(images: Images, bits: int) -> Images:
    """Pixels rounded to the 2^bits values that lie evenly in [0, 1]."""
    highest: int = 2**bits - 1
    return (images * highest).round() / highest


def median_of_four(images: Images) -> Images:
    """The upper median of each pixel and its neighbours above and to the left; borders are repeated."""
    height, width = images.shape[2:]
    padded = functional.pad(images, (1, 0, 1, 0), mode="replicate")
    shifted = [padded[:, :, top : top + height, left : left + width] for top in (0, 1) for left in (0, 1)]
    return torch.stack(shifted).sort(0).values[2]
