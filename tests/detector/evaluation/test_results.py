import dataclasses
import math

import numpy as np
import pytest
import torch

from detector.evaluation.attacked import AttackedImages
from detector.evaluation.judgements import Judgement
from detector.evaluation.metrics import Estimate
from detector.evaluation.results import MIN_SUCCESSES, DetectorFigures, attack_figures, worst_case_of


def _judgement(p_values: list[float], suspected: list[int] | None = None) -> Judgement:
    values = np.array(p_values)
    return Judgement(
        scores=-values,
        p_values=values,
        barriers=np.zeros(len(values)),
        suspected=np.array(suspected if suspected is not None else [-1] * len(values), dtype=np.int64),
    )


def _attacked(linf: list[float], true_labels: list[int], n_tried: int) -> AttackedImages:
    n = len(linf)
    return AttackedImages(
        images=torch.zeros(n, 1, 2, 2),
        sources=torch.arange(n),
        true_labels=torch.tensor(true_labels),
        n_tried=n_tried,
        n_invalid=0,
        l2=torch.tensor(linf) * 2,
        linf=torch.tensor(linf),
        survives_rounding=0.5,
        seconds=1.0,
    )


def test_figures_of_an_attack_count_what_was_flagged_and_recovered() -> None:
    clean = _judgement([0.2, 0.4, 0.6, 0.8])
    # Flagged: three of four; of these the first two are small, and the first and third are recovered.
    judged = _judgement([0.01, 0.04, 0.05, 0.5], suspected=[7, 1, 9, -1])
    attacked = _attacked([2 / 255, 1 / 255, 8 / 255, 1 / 255], true_labels=[7, 8, 9, 1], n_tried=8)
    found = attack_figures(clean, attacked, judged, seed=0)
    assert (found.n, found.success_rate, found.survives_rounding) == (4, 0.5, 0.5)
    assert found.mean_linf == pytest.approx(3 / 255)
    assert found.mean_l2 == pytest.approx(6 / 255)
    assert {rate: estimate.value for rate, estimate in found.tpr.items()} == {0.01: 0.25, 0.05: 0.75}
    # Of the 16 pairs only the last attacked image scores lower than clean ones, two of them.
    assert found.auroc.value == 14 / 16
    assert found.barrier_auroc == 0.5
    assert found.recovered is not None
    assert found.recovered.value == pytest.approx(2 / 3)
    assert (found.n_small, found.n_small_recovered) == (2, 1)


def test_where_nothing_is_flagged_nothing_is_recovered() -> None:
    found = attack_figures(_judgement([0.5]), _attacked([0.1], [3], 1), _judgement([0.5]), seed=0)
    assert found.recovered is None
    assert (found.n_small, found.n_small_recovered) == (0, 0)


def _figures(*aurocs: float, n: int = MIN_SUCCESSES) -> DetectorFigures:
    """Attacks with `n` flagged small successes each, of which that of index 1 has its true label suspected."""
    clean, made = _judgement([0.5]), _attacked([0.001] * n, [1] * n, n)
    attacks = {
        str(index): dataclasses.replace(
            attack_figures(clean, made, _judgement([0.05] * n, [index] * n), seed=0),
            auroc=Estimate(value, value, value),
        )
        for index, value in enumerate(aurocs)
    }
    return DetectorFigures(
        name="it",
        forward_equivalents=7.0,
        images_per_second=1.0,
        clean=(),
        misclassified=(),
        attacks=attacks,
        worst_case=None,
    )


def test_summaries_are_mean_and_worst_over_the_attacks() -> None:
    figures = _figures(0.9, 0.6)
    assert figures.mean_auroc == pytest.approx(0.75)
    assert figures.worst_auroc == 0.6
    assert figures.mean_tpr(0.05) == 1.0
    assert figures.mean_tpr(0.01) == 0.0
    # Label 1 is suspected in the second alone.
    assert figures.small_recovered == 0.5


def test_attacks_with_few_successes_are_left_out_of_mean_and_worst() -> None:
    few, enough = _figures(0.1, n=MIN_SUCCESSES - 1), _figures(0.9, 0.8)
    both = dataclasses.replace(enough, attacks={**enough.attacks, "few": few.attacks["0"]})
    assert list(both.counted) == ["0", "1"]
    assert (both.mean_auroc, both.worst_auroc) == (enough.mean_auroc, 0.8)
    assert math.isnan(few.mean_auroc) and math.isnan(few.worst_auroc)


def test_the_worst_case_is_over_all_attacks_on_an_image() -> None:
    clean = _judgement([0.2, 0.8])
    attacked = {"a": _attacked([0.1] * 2, [1] * 2, 2), "b": _attacked([0.1] * 2, [1] * 2, 2)}
    judged = {"a": _judgement([0.01, 0.04]), "b": _judgement([0.5, 0.01])}
    found = worst_case_of(clean, attacked, judged, seed=0)
    assert found is not None
    # Image 0 passes as b; image 1 is flagged as both, at 5 %. Of four pairs the first loses one.
    assert (found.n, found.tpr[0.05].value, found.tpr[0.01].value) == (2, 0.5, 0.0)
    assert found.auroc.value == 3 / 4
    assert worst_case_of(clean, attacked, {}, seed=0) is None


def test_without_a_successful_attack_there_is_nothing_to_sum_up() -> None:
    figures = _figures()
    assert math.isnan(figures.mean_auroc)
    assert math.isnan(figures.worst_auroc)
    assert math.isnan(figures.mean_tpr(0.05))
    assert figures.small_recovered is None
