import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch

from detector.conformal import ConformalScores
from detector.evaluation.attacked import AttackedImages
from detector.evaluation.baselines import FittedBaseline, baseline_figures
from detector.evaluation.judgements import Judgement


@dataclasses.dataclass(frozen=True)
class FirstPixel:
    name: str = "first-pixel"
    title: str = "First pixel"
    forward_equivalents: float = 1.5

    def measure(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, 0, 0, 0]


def _attacked(pixel: float, n: int) -> AttackedImages:
    return AttackedImages(
        images=torch.full((n, 1, 4, 4), pixel),
        sources=torch.arange(n),
        true_labels=torch.zeros(n, dtype=torch.int64),
        n_tried=n,
        n_invalid=0,
        l2=torch.full((n,), 4 * pixel),
        linf=torch.full((n,), pixel),
        survives_rounding=1.0,
        seconds=1.0,
    )


def _baseline(classifier: Any) -> FittedBaseline:
    return FittedBaseline(
        baseline=FirstPixel(), classifier=classifier, conformal=ConformalScores.of(torch.arange(99) / 200)
    )


def _judgement(p_values: list[float]) -> Judgement:
    values = np.array(p_values)
    n = len(values)
    return Judgement(
        scores=-values, p_values=values, barriers=np.full(n, np.nan), suspected=np.full(n, -1, dtype=np.int64)
    )


def test_figures_follow_from_scores_and_p_values(corners: Any) -> None:
    clean = _judgement([0.03] * 10 + [0.5] * 90)
    found = baseline_figures(_baseline(corners), clean, {"fast": _judgement([0.01] * 6 + [0.04] * 3 + [0.9])}, seed=0)
    assert (found.name, found.title, found.forward_equivalents) == ("first-pixel", "First pixel", 1.5)
    assert [each.realised.value for each in found.clean] == [0, 0.1]
    fast = found.attacks["fast"]
    assert fast.n == 10
    assert {rate: estimate.value for rate, estimate in fast.tpr.items()} == {0.01: 0.6, 0.05: 0.9}
    # Six beat all clean images, three all but the ten, one none.
    assert fast.auroc.value == pytest.approx((6 + 3 * 0.9) / 10)


def test_attacks_with_few_successes_are_shown_and_count_in_no_mean(corners: Any) -> None:
    attacked = {"seen": _judgement([0.01] * 10), "missed": _judgement([0.6] * 10), "few": _judgement([1.0] * 9)}
    attacked["none"] = _judgement([])
    found = baseline_figures(_baseline(corners), _judgement([0.5] * 100), attacked, seed=0)
    assert list(found.attacks) == ["seen", "missed", "few"]
    assert (found.mean_auroc, found.worst_auroc, found.mean_tpr(0.05)) == (0.5, 0, 0.5)


def test_where_no_attack_counts_there_is_no_mean(corners: Any) -> None:
    found = baseline_figures(_baseline(corners), _judgement([0.5] * 100), {}, seed=0)
    assert all(math.isnan(value) for value in (found.mean_auroc, found.worst_auroc, found.mean_tpr(0.01)))
