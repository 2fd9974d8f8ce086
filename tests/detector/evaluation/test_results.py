import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from detector.bundle import Bundle
from detector.detector import Detector
from detector.evaluation.attacked import AttackedImages
from detector.evaluation.metrics import Estimate
from detector.evaluation.results import (
    RATES,
    DetectorFigures,
    Judgement,
    attack_figures,
    evaluate_detector,
    false_positives,
    judge,
)
from detector.types import LabelledImages, no_progress, to_pixels


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
        l2=torch.tensor(linf) * 2,
        linf=torch.tensor(linf),
    )


def test_false_positives_are_counted_at_every_rate_of_the_tables() -> None:
    p_values = [0.01] + [0.03] * 4 + [0.05] + [0.5] * 94
    strict, lenient = false_positives(_judgement(p_values))
    assert [found.nominal for found in (strict, lenient)] == list(RATES)
    assert (strict.realised.value, lenient.realised.value) == (0.01, 0.06)
    assert strict.is_within_binomial
    assert strict.n == 100


def test_far_too_many_false_positives_are_not_within_the_binomial_interval() -> None:
    assert not false_positives(_judgement([0.01] * 20 + [1.0] * 80))[1].is_within_binomial


def test_of_no_images_there_are_no_false_positives() -> None:
    assert false_positives(_judgement([])) == ()


def test_figures_of_an_attack_count_what_was_flagged_and_recovered() -> None:
    clean = _judgement([0.2, 0.4, 0.6, 0.8])
    # Flagged: three of four; of these the first two are small, and the first and third are recovered.
    judged = _judgement([0.01, 0.04, 0.05, 0.5], suspected=[7, 1, 9, -1])
    attacked = _attacked([2 / 255, 1 / 255, 8 / 255, 1 / 255], true_labels=[7, 8, 9, 1], n_tried=8)
    found = attack_figures(clean, attacked, judged, seed=0)
    assert (found.n, found.success_rate) == (4, 0.5)
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


def _figures(*aurocs: float) -> DetectorFigures:
    clean = _judgement([0.5])
    attacks = {
        str(index): attack_figures(clean, _attacked([0.001], [1], 1), _judgement([0.05], [index]), seed=0)
        for index in range(len(aurocs))
    }
    for name, value in zip(attacks, aurocs, strict=True):
        object.__setattr__(attacks[name], "auroc", Estimate(value, value, value))
    return DetectorFigures(name="it", forward_equivalents=7.0, clean=(), misclassified=(), attacks=attacks)


def test_summaries_are_mean_and_worst_over_the_attacks() -> None:
    figures = _figures(0.9, 0.6)
    assert figures.mean_auroc == pytest.approx(0.75)
    assert figures.worst_auroc == 0.6
    assert figures.mean_tpr(0.05) == 1.0
    assert figures.mean_tpr(0.01) == 0.0
    # Each has one small flagged image, and label 1 is suspected in the second alone.
    assert figures.small_recovered == 0.5


def test_without_a_successful_attack_there_is_nothing_to_sum_up() -> None:
    figures = _figures()
    assert math.isnan(figures.mean_auroc)
    assert math.isnan(figures.worst_auroc)
    assert math.isnan(figures.mean_tpr(0.05))
    assert figures.small_recovered is None


def test_an_undecided_image_counts_as_flagged(
    bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    images = to_pixels(corner_images(3, seed=9).images)
    images[1] = torch.nan
    judged = judge(Detector(corners, bundle), images, no_progress)
    assert (judged.scores[1], judged.p_values[1], judged.suspected[1]) == (np.inf, 0.0, -1)
    assert np.isfinite(judged.scores[[0, 2]]).all()


def test_no_image_is_judged_without_complaint(bundle: Bundle, corners: Any) -> None:
    assert len(judge(Detector(corners, bundle), torch.zeros(0, 1, 4, 4), no_progress).scores) == 0


def test_a_detector_is_judged_on_clean_misclassified_and_attacked_images(
    bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    clean, misclassified = corner_images(20, seed=9), corner_images(4, seed=10)
    black = AttackedImages(
        images=torch.zeros(2, 1, 4, 4),
        sources=torch.tensor([1, 2]),
        true_labels=torch.tensor([1, 2]),
        n_tried=20,
        l2=torch.ones(2),
        linf=torch.ones(2),
    )
    failed = AttackedImages(
        **(vars(black) | {name: getattr(black, name)[:0] for name in vars(black) if name != "n_tried"})
    )
    figures, judged = evaluate_detector(
        "it",
        Detector(corners, bundle),
        clean=clean,
        misclassified=misclassified,
        attacked={"black": black, "failed": failed},
        seed=0,
        progress=no_progress,
    )
    assert set(judged) == {"clean", "black"}
    assert set(figures.attacks) == {"black"}
    assert figures.forward_equivalents == bundle.forward_equivalents
    assert [found.n for found in figures.clean] == [20, 20]
    assert [found.n for found in figures.misclassified] == [4, 4]
    assert figures.attacks["black"].success_rate == 0.1
