"""Images on which contenders are measured, in groups, with the prototypes at the far end of their paths."""

import dataclasses
import math
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from detector.evaluation.metrics import auroc
from detector.types import Classifier, Images

RATE = 0.05
"""False-positive rate at which contenders are compared."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arena:
    """Images of one classifier that no part of a contender was fitted on.

    Attributes:
        threshold: clean images that thresholds are read off.
        clean: others, on which false positives are counted.
        attacked: successful attacks, by name.
    """

    classifier: Classifier
    threshold: Float[Tensor, "threshold channel height width"]
    clean: Float[Tensor, "clean channel height width"]
    attacked: Mapping[str, Float[Tensor, "_ channel height width"]]

    @property
    def images(self) -> Images:
        """All of them, group by group."""
        return torch.cat([self.threshold, self.clean, *self.attacked.values()])

    def judged(self, scores: Float[Tensor, " image"]) -> "Standing":
        """How well scores, one for each of `images` in their order, tell attacks from clean images.

        A score that is not finite counts as the highest: such images are never let pass.
        """
        finite = torch.where(scores.isfinite(), scores, torch.inf).double()
        sizes = [len(self.threshold), len(self.clean), *(len(images) for images in self.attacked.values())]
        threshold, clean, *attacked = torch.split(finite, sizes)
        bound = _threshold(threshold, RATE)
        named = dict(zip(self.attacked, attacked, strict=True))
        return Standing(
            auroc={name: auroc(clean.numpy(), group.numpy()) for name, group in named.items()},
            flagged={name: float((group > bound).double().mean()) for name, group in named.items()},
            false_positives=float((clean > bound).double().mean()),
            n_clean=len(clean),
            n_attacked={name: len(group) for name, group in named.items()},
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standing:
    """Figures of one contender, by attack."""

    auroc: Mapping[str, float]
    flagged: Mapping[str, float]
    false_positives: float
    n_clean: int
    n_attacked: Mapping[str, int]

    @property
    def mean_auroc(self) -> float:
        return sum(self.auroc.values()) / len(self.auroc)

    @property
    def worst_auroc(self) -> float:
        return min(self.auroc.values())

    @property
    def auroc_error(self) -> float:
        """Standard error of the mean AUROC: the mean of those by attack (Hanley & McNeil 1982).

        All attacks meet the same clean images and mostly the same sources, so the errors are not averaged away.
        """
        errors = [_auroc_error(value, self.n_clean, self.n_attacked[name]) for name, value in self.auroc.items()]
        return sum(errors) / len(errors)

    @property
    def mean_flagged(self) -> float:
        return sum(self.flagged.values()) / len(self.flagged)


def _threshold(scores: Float[Tensor, " image"], rate: float) -> float:
    """The conformal threshold: images above it have a p-value of at most the rate."""
    rank = int(rate * (len(scores) + 1))
    return float("inf") if rank < 1 else float(scores.sort(descending=True).values[rank - 1])


def _auroc_error(value: float, n_clean: int, n_attacked: int) -> float:
    """Standard error of an AUROC (Hanley & McNeil 1982, doi 10.1148/radiology.143.1.7063747)."""
    both_attacked, both_clean = value / (2 - value), 2 * value**2 / (1 + value)
    variance = (
        value * (1 - value) + (n_attacked - 1) * (both_attacked - value**2) + (n_clean - 1) * (both_clean - value**2)
    )
    return math.sqrt(max(0.0, variance) / (n_clean * n_attacked))
