"""What judges the images that straight paths leave in doubt, once lower paths have been searched for them."""

import dataclasses

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from detector.head import Head
from detector.search import MethodName, PotentialKind
from detector.types import CalibrationError


@dataclasses.dataclass(frozen=True, kw_only=True)
class EscalationSettings:
    """When to search, and how.

    Attributes:
        method, potential: what is searched, and with what.
        budget: forward equivalents that one path may cost, a gradient counting 3.
        resolution: pieces in which searched paths are measured.
        doubt: shares of clean images between which the score counts as doubtful: with (0.01, 0.2) those that score
            below the highest 1 % and within the highest 20 %.
    """

    method: MethodName = MethodName.BYPASS
    potential: PotentialKind = PotentialKind.CROSS_ENTROPY
    budget: int = 120
    resolution: int = 8
    doubt: tuple[float, float] = (0.01, 0.2)

    def __post_init__(self) -> None:
        lowest, highest = self.doubt
        if not 0 <= lowest < highest <= 1:
            raise CalibrationError(
                f"scores were to be in doubt between the highest {lowest} and {highest} of clean images; give two "
                "shares in [0, 1], the smaller first"
            )
        if self.budget < 1 or self.resolution < 2:
            raise CalibrationError(
                f"a search with a budget of {self.budget} in {self.resolution} pieces finds nothing; give at least 1 "
                "forward equivalent and 2 pieces"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SecondOpinion:
    """A head for doubtful images, and which those are.

    Attributes:
        band: scores of the first head between which an image is in doubt, lowest and highest.
        head: judges the evidence of straight and searched paths.
    """

    settings: EscalationSettings
    band: tuple[float, float]
    head: Head

    def is_doubtful(self, scores: Float[Tensor, " image"]) -> Bool[Tensor, " image"]:
        """Which images are to be looked at again; a score that is not a number is not in doubt but unknown."""
        return is_in_band(scores, self.band)

    @torch.no_grad()
    def revised(self, features: Float[Tensor, "image feature"]) -> Float[Tensor, " image"]:
        """New scores for doubtful images: anew in order among themselves, and still within the band.

        So an image that was not in doubt keeps its place among all others, whatever the search finds.
        """
        low, high = self.band
        opinions: Tensor = self.head(features)
        return low + (high - low) * opinions.sigmoid()


def is_in_band(scores: Float[Tensor, " image"], band: tuple[float, float]) -> Bool[Tensor, " image"]:
    """Which scores lie in the band of doubt, its bounds included."""
    return (scores >= band[0]) & (scores <= band[1])
