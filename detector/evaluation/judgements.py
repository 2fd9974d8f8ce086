"""Verdicts on many images as columns, and how many natural images were flagged.

Every figure comes from verdicts of `Detector.inspect`; thresholds are the calibrated ones, never chosen here.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int64
from numpy import ndarray

from detector.detector import Detector
from detector.evaluation.metrics import Estimate, Scores, is_within_binomial, rate_estimate
from detector.types import Images, ProgressCallback
from detector.verdict import Outcome, Verdict

RATES = (0.01, 0.05)
"""False-positive rates of every table."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judgement:
    """Verdicts as columns; an undecided image scores +∞ and has p-value 0, since callers treat it as adversarial.

    Attributes:
        barriers: of the lowest path of each image, also of those that left before their paths were measured.
        verdicts: what the columns were made of; empty where they come from something else than a detector.
    """

    scores: Scores
    p_values: Scores
    barriers: Scores
    suspected: Int64[ndarray, " image"]
    verdicts: tuple[Verdict, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class FalsePositives:
    """How many natural images were flagged at one nominal rate."""

    nominal: float
    realised: Estimate
    n: int
    is_within_binomial: bool


def judge(detector: Detector, images: Images, progress: ProgressCallback) -> Judgement:
    """Inspect images and lay the verdicts out as columns."""
    verdicts = detector.inspect(images, progress)
    return Judgement(
        scores=np.array([math.inf if verdict.score is None else verdict.score for verdict in verdicts]),
        p_values=np.array([0.0 if verdict.p_value is None else verdict.p_value for verdict in verdicts]),
        barriers=_barriers(detector, images, verdicts),
        suspected=np.array(
            [-1 if verdict.suspected_label is None else verdict.suspected_label for verdict in verdicts], dtype=np.int64
        ),
        verdicts=tuple(verdicts),
    )


@torch.no_grad()
def _barriers(detector: Detector, images: Images, verdicts: Sequence[Verdict]) -> Scores:
    found = np.array([0.0 if verdict.barrier is None else verdict.barrier for verdict in verdicts])
    left = torch.tensor([row for row, verdict in enumerate(verdicts) if verdict.outcome is Outcome.LEFT_EARLY])
    for rows in torch.split(left.long(), detector.images_per_step):
        if len(rows):
            pixels = images[rows].to(device=detector.classifier.device, dtype=torch.float32)
            found[rows.numpy()] = detector.judge.ruling(detector.straight_paths.complete(pixels)).barriers.cpu().numpy()
    return found


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
