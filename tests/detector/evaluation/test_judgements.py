from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from detector.bundle import Bundle
from detector.detector import Detector
from detector.evaluation.judgements import RATES, Judgement, false_positives, judge
from detector.types import LabelledImages, no_progress, to_pixels
from detector.verdict import Outcome


def _judgement(p_values: list[float]) -> Judgement:
    values = np.array(p_values)
    return Judgement(
        scores=-values,
        p_values=values,
        barriers=np.zeros(len(values)),
        suspected=np.full(len(values), -1, dtype=np.int64),
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


def test_an_undecided_image_counts_as_flagged(
    bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    images = to_pixels(corner_images(3, seed=9).images)
    images[1] = torch.nan
    judged = judge(Detector(corners, bundle), images, no_progress)
    assert (judged.scores[1], judged.p_values[1], judged.suspected[1]) == (np.inf, 0.0, -1)
    assert np.isfinite(judged.scores[[0, 2]]).all()
    assert [verdict.p_value for verdict in judged.verdicts] == [judged.p_values[0], None, judged.p_values[2]]


def test_no_image_is_judged_without_complaint(bundle: Bundle, corners: Any) -> None:
    assert len(judge(Detector(corners, bundle), torch.zeros(0, 1, 4, 4), no_progress).scores) == 0


def test_barriers_of_images_that_left_early_are_measured_all_the_same(
    leaving: Bundle, bundle: Bundle, rippled: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    images = to_pixels(corner_images(40, seed=9).images)
    early, full = (judge(Detector(rippled, one), images, no_progress) for one in (leaving, bundle))
    assert any(verdict.outcome is Outcome.LEFT_EARLY for verdict in early.verdicts)
    assert early.barriers == pytest.approx(full.barriers, abs=1e-6)
    assert any(full.barriers[row] > 0 for row, verdict in enumerate(early.verdicts) if verdict.barrier is None)
