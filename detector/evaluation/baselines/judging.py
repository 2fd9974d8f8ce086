"""How well a baseline does on the images that the detector is judged on."""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from detector.evaluation.baselines.baseline import FittedBaseline
from detector.evaluation.judgements import RATES, FalsePositives, Judgement, false_positives
from detector.evaluation.metrics import Estimate, auroc_estimate, rate_estimate
from detector.evaluation.results import MIN_SUCCESSES


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaselineAttackFigures:
    """How well one attack was seen.

    Attributes:
        n: successes of the attack.
        auroc: of the score, against clean images.
        tpr: share flagged, by nominal false-positive rate.
    """

    n: int
    auroc: Estimate
    tpr: Mapping[float, Estimate]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaselineFigures:
    """One baseline on all attacks; those with fewer than `MIN_SUCCESSES` successes count in no mean or worst case."""

    name: str
    title: str
    forward_equivalents: float
    clean: Sequence[FalsePositives]
    attacks: Mapping[str, BaselineAttackFigures]

    @property
    def mean_auroc(self) -> float:
        """Mean over the attacks that count; NaN where none does."""
        return _mean([figures.auroc.value for figures in self._counting])

    @property
    def worst_auroc(self) -> float:
        """Lowest over the attacks that count; NaN where none does."""
        return min((figures.auroc.value for figures in self._counting), default=math.nan)

    def mean_tpr(self, rate: float) -> float:
        """Mean share flagged over the attacks that count; NaN where none does."""
        return _mean([figures.tpr[rate].value for figures in self._counting])

    @property
    def _counting(self) -> list[BaselineAttackFigures]:
        return [figures for figures in self.attacks.values() if figures.n >= MIN_SUCCESSES]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def baseline_figures(
    baseline: FittedBaseline, clean: Judgement, attacked: Mapping[str, Judgement], seed: int
) -> BaselineFigures:
    """Figures from the baseline's own judgements; attacks without a success are left out."""
    return BaselineFigures(
        name=baseline.name,
        title=baseline.title,
        forward_equivalents=baseline.forward_equivalents,
        clean=false_positives(clean),
        attacks={name: _attack_figures(clean, found, seed) for name, found in attacked.items() if len(found.scores)},
    )


def _attack_figures(clean: Judgement, found: Judgement, seed: int) -> BaselineAttackFigures:
    n = len(found.scores)
    return BaselineAttackFigures(
        n=n,
        auroc=auroc_estimate(clean.scores, found.scores, seed),
        tpr={rate: rate_estimate(int((found.p_values <= rate).sum()), n) for rate in RATES},
    )
