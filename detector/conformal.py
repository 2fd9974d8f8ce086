"""From scores to p-values that keep their promise on images like the calibration images.

Split conformal prediction (Vovk et al. 2005; Bates et al. 2023, arXiv 2104.08279, for outlier detection).
"""

import dataclasses
import math
import sys

import torch
from jaxtyping import Float64
from torch import Tensor

from detector.types import CalibrationError


@dataclasses.dataclass(frozen=True)
class ConformalScores:
    """Scores of clean images that nothing else was fitted on, ascending, shape (calibration image,)."""

    scores: Float64[Tensor, " calibration"]

    @classmethod
    def of(cls, scores: Tensor) -> "ConformalScores":
        """Sort the scores of the calibration images.

        Raises:
            CalibrationError: a score is not finite.
        """
        if not scores.isfinite().all():
            n_bad = int((~scores.isfinite()).sum())
            raise CalibrationError(
                f"{n_bad} of {len(scores)} calibration scores are not finite; check the classifier's outputs"
            )
        return cls(scores.double().cpu().sort().values)

    def p_values(self, scores: Tensor) -> Float64[Tensor, " image"]:
        """`(1 + #{calibration ≥ score}) / (n + 1)` for each score; uniform or larger on exchangeable images."""
        n_below = torch.searchsorted(self.scores, scores.double().cpu(), side="left")
        return (1 + len(self.scores) - n_below).double() / (len(self.scores) + 1)

    def threshold(self, false_positive_rate: float) -> float:
        """The number just above the highest score whose p-value exceeds the rate: what reaches it is flagged.

        Raises:
            CalibrationError: so few scores cannot support the rate.
        """
        self.require(false_positive_rate)
        passed = self.scores[self.p_values(self.scores) > false_positive_rate]
        return math.nextafter(float(passed.max()), math.inf) if len(passed) else -math.inf

    def require(self, false_positive_rate: float) -> None:
        """Refuse a rate that so few calibration images cannot support.

        Raises:
            CalibrationError: the rate is not in (0, 1), or below `1 / (n + 1)`, where nothing could ever be flagged.
        """
        require_images(len(self.scores), false_positive_rate)


def require_images(n_images: int, false_positive_rate: float) -> None:
    """Refuse a rate that so few calibration images cannot support.

    Raises:
        CalibrationError: the rate is not in (0, 1), or below `1 / (n + 1)`, where nothing could ever be flagged.
    """
    needed = images_needed(false_positive_rate)
    if n_images < needed:
        raise CalibrationError(
            f"{n_images} clean calibration images cannot support a false-positive rate of "
            f"{false_positive_rate}; at least {needed} are needed"
        )


def images_needed(false_positive_rate: float) -> int:
    """Fewest calibration images with which the rate can be met: the smallest n with `1 / (n + 1) ≤ rate`.

    Raises:
        CalibrationError: the rate is not in (0, 1).
    """
    if not 0 < false_positive_rate < 1:
        raise CalibrationError(f"the false-positive rate must lie between 0 and 1, not {false_positive_rate}")
    # 1 / 0.05 is not exact in binary; without the tolerance 0.05 would ask for one image too many.
    needed = 1 / false_positive_rate - 1 - 1e-9
    # The inverse of a denormal number is infinite.
    return max(1, math.ceil(needed)) if math.isfinite(needed) else sys.maxsize
