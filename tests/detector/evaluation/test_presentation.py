import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from detector.bundle import Bundle
from detector.detector import Detector
from detector.evaluation.attacks import AttackSpec, pgd
from detector.evaluation.experiment import Experiment, run_experiment
from detector.evaluation.judgements import Judgement
from detector.evaluation.page import Page, render_page
from detector.evaluation.presentation import build_page, roc_curve, worst_first
from detector.evaluation.results import DetectorFigures
from detector.types import LabelledImages

_EXPERIMENTS: list[tuple[Detector, Experiment]] = []


@pytest.fixture
def ran(
    bundle: Bundle,
    corners: Any,
    corner_images: Callable[..., LabelledImages],
    spec_of: Callable[..., AttackSpec],
) -> tuple[Detector, Experiment]:
    if not _EXPERIMENTS:
        detector = Detector(corners, bundle)
        specs = [
            spec_of("strong", strength=51.0, attack=pgd(0.2, steps=5)),
            spec_of("middling", strength=25.5, attack=pgd(0.1, steps=5)),
            spec_of("weak", strength=0.0, attack=pgd(0.0, steps=1)),
        ]
        experiment = run_experiment({"mine": detector}, corner_images(40, seed=50), specs, limit=20, seed=0)
        _EXPERIMENTS.append((detector, experiment))
    return _EXPERIMENTS[0]


def page_of(detector: Detector, experiment: Experiment) -> Page:
    return build_page("Title", "Lead", [("seed", "0")], detector, "mine", experiment)


def test_a_run_becomes_a_page_with_its_groups_in_one_order(ran: tuple[Detector, Experiment]) -> None:
    page = page_of(*ran)
    attacks = list(page.roc)
    assert sorted(attacks) == ["middling", "strong"]
    assert [group.name for group in page.score_groups] == ["clean", *attacks]
    assert [panel.strengths.tolist() for panel in page.sweeps] == [[0.0, 25.5, 51.0]]
    assert [section.title for section in page.sections] == ["Attacks", "Natural images"]
    assert [len(section.tables) for section in page.sections][1] == 2
    assert page.summary and page.bands[0].name == "clean"


def test_whatever_scores_at_the_threshold_or_above_it_was_flagged(ran: tuple[Detector, Experiment]) -> None:
    detector, experiment = ran
    threshold = page_of(detector, experiment).threshold
    assert threshold is not None
    for judged in experiment.judgements["mine"].values():
        np.testing.assert_array_equal(judged.scores >= threshold, judged.p_values <= detector.false_positive_rate)


def test_two_detectors_are_compared_and_a_skipped_attack_is_told(ran: tuple[Detector, Experiment]) -> None:
    detector, experiment = ran
    more = dataclasses.replace(
        experiment,
        figures={"mine": experiment.figures["mine"], "other": experiment.figures["mine"]},
        skipped={"jsma": "an image is too large for it"},
    )
    html = render_page(page_of(detector, more))
    assert "All detectors on the same images" in html
    assert "an image is too large for it" in html


def test_the_worst_attack_comes_first_and_one_that_hardly_succeeded_last(
    figures_of: Callable[..., DetectorFigures],
) -> None:
    assert worst_first(figures_of({"a": 0.9, "b": 0.5, "c": 0.1}, n={"c": 2})) == ["b", "a", "c"]


def test_a_curve_has_one_point_for_each_clean_score_and_ties_count_as_caught() -> None:
    def judged(*scores: float) -> Judgement:
        zeros = np.zeros(len(scores))
        return Judgement(
            scores=np.array(scores), p_values=zeros, barriers=zeros, suspected=np.zeros(len(scores), dtype=np.int64)
        )

    false_positives, true_positives = roc_curve(judged(1.0, 3.0, 2.0, 0.0), judged(3.0, 1.5))
    assert false_positives.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert true_positives.tolist() == [0.5, 0.5, 1.0, 1.0]
