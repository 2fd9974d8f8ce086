"""Images that a cheap first look finds clear leave there; all others are measured along their paths.

Only the clean side has this door: what is flagged was measured in full. The scores of both kinds make one order, so
that p-values read off it keep their promise whoever leaves: an image that leaves scores below `FLOOR`, any other above
it, and these keep the order that the full evidence gives them.
"""

import copy
import dataclasses
import enum

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from detector.conformal import ConformalScores
from detector.head import Head
from detector.types import CalibrationError
from detector.typicality import Typicality

FLOOR = 0.0
"""Between the scores of images that leave and of those that are measured in full.

Zero, since there alone a difference of two floats is never rounded onto it: what is below stays below.
"""


class Look(enum.StrEnum):
    """What the first look takes in besides the guarded classifier's answer to the image itself.

    AUXILIARY: what the auxiliary classifier makes of the image. SMOOTHED: the smoothed versions of the image.
    """

    AUXILIARY = "auxiliary"
    SMOOTHED = "smoothed"


@dataclasses.dataclass(frozen=True, kw_only=True)
class EarlyExitSettings:
    """How a first look is fitted, and what it may cost in decisions.

    Attributes:
        looks: what it takes in; what a bundle does not look at is left out.
        ordinary_share: share of clean images that look ordinary; none of the others leaves, whatever the head says.
        most_auroc_lost: by how much the AUROC of clean images against proxies may fall.
        most_proxies_leaving: share of the proxies that may leave as clear, however little that changes the order.
        most_leaving: share of the clean images that may leave; 1 less that is the highest false-positive rate at
            which thresholds still lie among the images measured in full, so some room is left above 0.2.
        least_gain: by how much the expected cost must fall, as a ratio, for an early exit to be kept.
        batches: of the stream, which head and bound are fitted on, and of the trial.
    """

    looks: tuple[Look, ...] = (Look.AUXILIARY,)
    ordinary_share: float = 0.98
    most_auroc_lost: float = 0.001
    most_proxies_leaving: float = 0.03
    most_leaving: float = 0.75
    least_gain: float = 1.3
    batches: int = 100

    def __post_init__(self) -> None:
        for share, which in ((self.most_leaving, "leave after"), (self.ordinary_share, "look ordinary at")):
            if not 0 < share < 1:
                raise CalibrationError(
                    f"a share of {share} of the clean images was to {which} a first look; give one between 0 and 1"
                )
        if min(self.most_auroc_lost, self.most_proxies_leaving) < 0 or self.least_gain < 1:
            raise CalibrationError(
                f"an early exit was to lose at most {self.most_auroc_lost} of the AUROC, let at most "
                f"{self.most_proxies_leaving} of the proxies leave and be {self.least_gain} times as cheap; give "
                "losses of at least 0 and a ratio of at least 1"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class EarlyExit:
    """Two judges of the first look: an image leaves that both find clear.

    A head that met proxies knows the attacks that they are like, and may take others for clean. Of those it need know
    nothing where what they show is not what clean images show.

    Attributes:
        looks: what the first look takes in besides the image.
        head: judges what it shows.
        ordinary: how far that lies from what clean images show.
        leave_below: log-odds of the head below which an image is clear.
        ordinary_below: log-distance below which it is ordinary.
    """

    looks: tuple[Look, ...]
    head: Head
    ordinary: Typicality
    leave_below: float
    ordinary_below: float

    def to(self, device: torch.device) -> "EarlyExit":
        """The same with both judges copied to a device; these are left where they are."""
        return dataclasses.replace(
            self, head=copy.deepcopy(self.head).to(device), ordinary=copy.deepcopy(self.ordinary).to(device)
        )

    def judged(self, features: Float[Tensor, "image feature"]) -> Float[Tensor, " image"]:
        """What the head says of what is ordinary; +∞ of the rest, which leaves by no bound."""
        scores: Tensor = self.head(features)
        return torch.where(self.ordinary(features) < self.ordinary_below, scores, torch.inf)

    def first_scores(self, features: Float[Tensor, "image feature"]) -> Float[Tensor, " image"]:
        """How far an image is from leaving, by the judge that is further from it; below 0 it leaves.

        No number where anything that the first look shows is none.
        """
        scores = self._from_leaving(self.head(features), self.ordinary(features))
        return torch.where(features.isfinite().all(1), scores, torch.nan)

    def passing_gradients(self, features: Float[Tensor, "image feature"]) -> Float[Tensor, " image"]:
        """The same, with gradients that ignore that features are cut off; for attackers."""
        return self._from_leaving(self.head.passing_gradients(features), self.ordinary.passing_gradients(features))

    def leaves(self, first: Float[Tensor, " image"]) -> Bool[Tensor, " image"]:
        """Which images are clear by their first score; one whose score is no number is not."""
        return (first < 0) & first.isfinite()

    def scores_of_clear(self, first: Float[Tensor, " image"]) -> Float[Tensor, " image"]:
        """Scores of images that leave, below `FLOOR` and in the order of the first look."""
        return FLOOR + first

    def combined(self, first: Float[Tensor, " image"], full: Float[Tensor, " image"]) -> Float[Tensor, " image"]:
        """The score of each image by its first score and by that of its full evidence, where it does not leave."""
        return torch.where(self.leaves(first), self.scores_of_clear(first), squashed(full))

    def pursued(
        self, first: Float[Tensor, " image"], full: Float[Tensor, " image"], threshold: float
    ) -> Float[Tensor, " image"]:
        """A score for attackers, who pass by whichever road is nearer; it has the gradient of that road.

        Below `threshold`, which must lie above `FLOOR`, exactly where an image passes at the rate of that threshold:
        either it leaves, or its full evidence scores below. Above, it says how far the nearer road is, in the unit of
        whichever judge bars it.
        """
        by_leaving = first + torch.where(self.leaves(first), FLOOR, threshold)
        return torch.minimum(by_leaving, squashed(full))

    def _from_leaving(self, head: Float[Tensor, " image"], ordinary: Float[Tensor, " image"]) -> Tensor:
        return torch.maximum(head - self.leave_below, ordinary - self.ordinary_below)


def squashed(scores: Float[Tensor, " image"]) -> Float[Tensor, " image"]:
    """Log-odds moved above `FLOOR` in their order: (x + √(x² + 4)) / 2 (Barron 2021, arXiv 2112.11687).

    Large scores hardly change; low ones fall off as 1 / |x|, which no float rounds to 0 as it would an exponential.
    """
    root = (scores.square() + 4).sqrt()
    # The sum of both cancels where the score is negative, and the product of sum and difference is 4.
    above = torch.where(scores >= 0, (scores.clamp_min(0) + root) / 2, 2 / (root - scores.clamp_max(0)))
    return FLOOR + torch.where(scores.isfinite(), above, scores)


def require_full_evidence(conformal: ConformalScores, false_positive_rate: float) -> None:
    """Refuse a rate so high that images which leave would be flagged.

    Raises:
        CalibrationError: that is so.
    """
    if conformal.threshold(false_positive_rate) > FLOOR:
        return
    n_images, n_left = len(conformal.scores), int((conformal.scores < FLOOR).sum())
    raise CalibrationError(
        f"{n_left} of {n_images} clean images leave this bundle after a first look, so that a false-positive rate of "
        f"{false_positive_rate} would flag images whose paths nobody measured; ask for less than "
        f"{(1 + n_images - n_left) / (n_images + 1):.4g}, or take a bundle without an early exit"
    )
