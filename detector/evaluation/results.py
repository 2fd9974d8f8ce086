"""Judges natural and attacked images with one detector, and says how well it did.

Every figure comes from verdicts of `Detector.inspect`; thresholds are the calibrated ones, never chosen here.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray

from detector.detector import Detector
from detector.evaluation.attacked import AttackedImages
from detector.evaluation.metrics import Estimate, Scores, auroc, auroc_estimate, is_within_binomial, rate_estimate
from detector.types import Images, LabelledImages, ProgressCallback, to_pixels

RATES = (0.01, 0.05)
"""False-positive rates of every table."""

SMALL_PERTURBATION = 2 / 255
"""L∞ size up to which the suspected label is asked to be the true one, pixel units of [0, 1]."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judgement:
    """Verdicts as columns; an undecided image scores +∞ and has p-value 0, since callers treat it as adversarial."""

    scores: Scores
    p_values: Scores
    barriers: Scores
    suspected: Int64[ndarray, " image"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FalsePositives:
    """How many natural images were flagged at one nominal rate."""

    nominal: float
    realised: Estimate
    n: int
    is_within_binomial: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttackFigures:
    """How well one attack was seen.

    Attributes:
        auroc: of the score, against clean images.
        tpr: share flagged, by nominal false-positive rate.
        barrier_auroc: of this bundle's cross-entropy barrier alone, without calibration.
        recovered: share of the flagged whose suspected label is the true one.
        n_small, n_small_recovered: the same among flagged images whose perturbation is small.
    """

    n: int
    success_rate: float
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
    """One detector on all attacks."""

    name: str
    forward_equivalents: float
    clean: Sequence[FalsePositives]
    misclassified: Sequence[FalsePositives]
    attacks: Mapping[str, AttackFigures]

    @property
    def mean_auroc(self) -> float:
        """Mean over the attacks; NaN where none succeeded."""
        return _mean([figures.auroc.value for figures in self.attacks.values()])

    @property
    def worst_auroc(self) -> float:
        """Lowest over the attacks; NaN where none succeeded."""
        return min((figures.auroc.value for figures in self.attacks.values()), default=math.nan)

    def mean_tpr(self, rate: float) -> float:
        """Mean share flagged over the attacks; NaN where none succeeded."""
        return _mean([figures.tpr[rate].value for figures in self.attacks.values()])

    @property
    def small_recovered(self) -> float | None:
        """Share of the flagged small perturbations, over all attacks, whose suspected label is the true one."""
        n = sum(figures.n_small for figures in self.attacks.values())
        return sum(figures.n_small_recovered for figures in self.attacks.values()) / n if n else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def judge(detector: Detector, images: Images, progress: ProgressCallback) -> Judgement:
    """Inspect images and lay the verdicts out as columns."""
    verdicts = detector.inspect(images, progress)
    return Judgement(
        scores=np.array([math.inf if verdict.score is None else verdict.score for verdict in verdicts]),
        p_values=np.array([0.0 if verdict.p_value is None else verdict.p_value for verdict in verdicts]),
        barriers=np.array([0.0 if verdict.barrier is None else verdict.barrier for verdict in verdicts]),
        suspected=np.array(
            [-1 if verdict.suspected_label is None else verdict.suspected_label for verdict in verdicts], dtype=np.int64
        ),
    )


def false_positives(judgement: Judgement) -> tuple[FalsePositives, ...]:
    """Share of natural images flagged at each rate of the tables."""
    n = len(judgement.p_values)
    found = []
    for rate in RATES if n else ():
        n_flagged = int((judgement.p_values <= rate).sum())
        found.append(
            FalsePositives(
                nominal=rate,
                realised=rate_estimate(n_flagged, n),
                n=n,
                is_within_binomial=is_within_binomial(n_flagged, n, rate),
            )
        )
    return tuple(found)


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
        mean_l2=float(attacked.l2.mean()),
        mean_linf=float(attacked.linf.mean()),
        auroc=auroc_estimate(clean.scores, judged.scores, seed),
        tpr={rate: rate_estimate(int((judged.p_values <= rate).sum()), len(judged.p_values)) for rate in RATES},
        barrier_auroc=auroc(clean.barriers, judged.barriers),
        recovered=rate_estimate(int((is_flagged & is_recovered).sum()), n_flagged) if n_flagged else None,
        n_small=int((is_flagged & is_small).sum()),
        n_small_recovered=int((is_flagged & is_small & is_recovered).sum()),
    )


def evaluate_detector(
    name: str,
    detector: Detector,
    *,
    clean: LabelledImages,
    misclassified: LabelledImages,
    attacked: Mapping[str, AttackedImages],
    seed: int,
    progress: ProgressCallback,
) -> tuple[DetectorFigures, dict[str, Judgement]]:
    """Judge everything with one detector; also returns the judgements, by attack and `clean`."""
    judged = {"clean": judge(detector, to_pixels(clean.images), progress)}
    judged |= {attack: judge(detector, made.images, progress) for attack, made in attacked.items() if len(made.sources)}
    figures = DetectorFigures(
        name=name,
        forward_equivalents=detector.bundle.expected_forward_equivalents,
        clean=false_positives(judged["clean"]),
        misclassified=false_positives(judge(detector, to_pixels(misclassified.images), progress)),
        attacks={
            attack: attack_figures(judged["clean"], made, judged[attack], seed)
            for attack, made in attacked.items()
            if len(made.sources)
        },
    )
    return figures, judged
