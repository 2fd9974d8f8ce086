"""How well a detector did: figures of each attack, and what they come to."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from detector.evaluation.adaptive import AdaptiveFigures
from detector.evaluation.attacked import AttackedImages
from detector.evaluation.benign import BenignFigures
from detector.evaluation.judgements import RATES, FalsePositives, Judgement, false_positives, judge
from detector.evaluation.metrics import Estimate, WorstCase, auroc, auroc_estimate, rate_estimate, worst_case

__all__ = [
    "MIN_SUCCESSES",
    "RATES",
    "SMALL_PERTURBATION",
    "AttackFigures",
    "DetectorFigures",
    "FalsePositives",
    "Judgement",
    "attack_figures",
    "false_positives",
    "judge",
    "worst_case_of",
]

SMALL_PERTURBATION = 2 / 255
"""L∞ size up to which the suspected label is asked to be the true one, pixel units of [0, 1]."""

MIN_SUCCESSES = 10
"""Attacks that succeed on fewer images are shown, and left out of mean and worst: their figures are mostly chance."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttackFigures:
    """How well one attack was seen.

    Attributes:
        auroc: of the score, against clean images.
        tpr: share flagged, by nominal false-positive rate.
        survives_rounding: share of the successes that still fool the classifier after rounding to 8 bits.
        barrier_auroc: of this bundle's cross-entropy barrier alone, without calibration.
        recovered: share of the flagged whose suspected label is the true one.
        n_small, n_small_recovered: the same among flagged images whose perturbation is small.
    """

    n: int
    success_rate: float
    survives_rounding: float
    mean_l2: float
    mean_linf: float
    auroc: Estimate
    tpr: Mapping[float, Estimate]
    barrier_auroc: float
    recovered: Estimate | None
    n_small: int
    n_small_recovered: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectorFigures:
    """One detector on everything it was tried on.

    Attributes:
        images_per_second: clean images judged in a second, on the machine of the run.
        attacks: those that succeeded at least once.
        worst_case: over all successes; None where there are none.
        benign: corruptions that nobody made on purpose, by kind and severity.
        adaptive: attacks that know the detector.
    """

    name: str
    forward_equivalents: float
    images_per_second: float
    clean: Sequence[FalsePositives]
    misclassified: Sequence[FalsePositives]
    attacks: Mapping[str, AttackFigures]
    worst_case: WorstCase | None
    benign: Sequence[BenignFigures] = ()
    adaptive: Sequence[AdaptiveFigures] = ()

    @property
    def counted(self) -> Mapping[str, AttackFigures]:
        """The attacks with successes enough to count in mean and worst."""
        return {name: figures for name, figures in self.attacks.items() if figures.n >= MIN_SUCCESSES}

    @property
    def mean_auroc(self) -> float:
        """Mean over the attacks that count; NaN where there are none."""
        return _mean([figures.auroc.value for figures in self.counted.values()])

    @property
    def worst_auroc(self) -> float:
        """Lowest over the attacks that count; NaN where there are none."""
        return min((figures.auroc.value for figures in self.counted.values()), default=math.nan)

    def mean_tpr(self, rate: float) -> float:
        """Mean share flagged over the attacks that count; NaN where there are none."""
        return _mean([figures.tpr[rate].value for figures in self.counted.values()])

    @property
    def small_recovered(self) -> float | None:
        """Share of the flagged small perturbations, over all attacks, whose suspected label is the true one."""
        n = sum(figures.n_small for figures in self.attacks.values())
        return sum(figures.n_small_recovered for figures in self.attacks.values()) / n if n else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def attack_figures(clean: Judgement, attacked: AttackedImages, judged: Judgement, seed: int) -> AttackFigures:
    """Compare one attack's successes with clean images; at least one success is needed."""
    is_flagged = judged.suspected >= 0
    is_recovered = judged.suspected == attacked.true_labels.numpy()
    # Attacks meet their radius only up to rounding.
    is_small: Bool[ndarray, " image"] = attacked.linf.numpy() <= SMALL_PERTURBATION + 1e-6
    n_flagged = int(is_flagged.sum())
    return AttackFigures(
        n=len(judged.scores),
        success_rate=attacked.success_rate,
        survives_rounding=attacked.survives_rounding,
        mean_l2=float(attacked.l2.mean()),
        mean_linf=float(attacked.linf.mean()),
        auroc=auroc_estimate(clean.scores, judged.scores, seed),
        tpr={rate: rate_estimate(int((judged.p_values <= rate).sum()), len(judged.p_values)) for rate in RATES},
        barrier_auroc=auroc(clean.barriers, judged.barriers),
        recovered=rate_estimate(int((is_flagged & is_recovered).sum()), n_flagged) if n_flagged else None,
        n_small=int((is_flagged & is_small).sum()),
        n_small_recovered=int((is_flagged & is_small & is_recovered).sum()),
    )


def worst_case_of(
    clean: Judgement, attacked: Mapping[str, AttackedImages], judged: Mapping[str, Judgement], seed: int
) -> WorstCase | None:
    """The worst case over all attacks; `judged` holds the verdicts on the successes of each."""
    if not judged:
        return None
    return worst_case(
        clean.scores,
        np.concatenate([attacked[name].sources.numpy() for name in judged]),
        np.concatenate([found.scores for found in judged.values()]),
        np.concatenate([found.p_values for found in judged.values()]),
        rates=RATES,
        seed=seed,
    )
