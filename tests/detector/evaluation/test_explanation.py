import copy
import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from toy_cases.hills import END, START, all_but_hill, quarters, searched, with_a_hill

from detector.bundle import Bundle
from detector.detector import Detector
from detector.evaluation.explanation import explain
from detector.search import SearchOutcome
from detector.types import DetectorError, ImageError
from detector.verdict import Decision


def test_the_verdict_is_the_one_that_the_detector_gives(detector: Detector, images: Tensor) -> None:
    for image in images:
        assert explain(detector, image).verdict == detector.inspect(image[None])[0]


def test_nearest_prototypes_come_first_and_an_image_that_is_one_is_nearest_to_itself(detector: Detector) -> None:
    prototype = detector.bundle.prototypes.pixels()[2, 1]
    explanation = explain(detector, prototype, to=2)
    links = [link for link in explanation.prototypes if link.label == 2]
    assert links[0].prototype == 1
    assert links[0].log_distance == pytest.approx(math.log(1e-6), abs=1e-3)
    assert links[0].barrier == 0
    assert [link.log_distance for link in links] == sorted(link.log_distance for link in links)


def test_an_image_that_cannot_be_judged_is_still_shown(altered: Callable[..., Detector]) -> None:
    explanation = explain(altered(lambda pixels: all_but_hill(pixels) * torch.nan), START)
    assert explanation.verdict.decision is Decision.UNDECIDED
    assert explanation.runner_up is None
    assert searched(explanation).search.outcome is SearchOutcome.NON_FINITE


def test_labels_stand_in_the_order_of_their_claims_behind_the_predicted_one(detector: Detector) -> None:
    bright = quarters((0.6, 0.58, 0.3, 0.35))
    explanation = explain(detector, bright)
    first, *others = explanation.standings
    assert (first.label, first.standing, first.takeover) == (0, None, 0.0)
    strengths = [one.standing for one in others if one.standing is not None]
    assert len(strengths) == 3
    assert strengths == sorted(strengths, reverse=True)
    probabilities = all_but_hill(bright[None])[0].softmax(0)
    assert first.probability == pytest.approx(probabilities[0].item(), rel=1e-4)
    assert explanation.runner_up == others[0].label
    assert sum(one.probability for one in explanation.standings) == pytest.approx(1)


def test_the_runner_up_of_a_flagged_image_is_the_suspected_label(bundle: Bundle, corners: Any, images: Tensor) -> None:
    strict = Detector(corners, bundle, false_positive_rate=0.999)
    for image in images:
        explanation = explain(strict, image)
        assert explanation.verdict.decision is Decision.ADVERSARIAL
        assert explanation.runner_up == explanation.verdict.suspected_label


def test_a_bundle_without_prototypes_of_the_label_leaves_the_path_out(bundle: Bundle, corners: Any) -> None:
    bare = copy.copy(bundle)
    available = torch.tensor([False, True, True, True])
    bare.prototypes = dataclasses.replace(bundle.prototypes, available=available)
    explanation = explain(Detector(corners, bare), START)
    assert explanation.connection is None
    assert {link.label for link in explanation.prototypes} == {explanation.runner_up}
    with pytest.raises(DetectorError, match="no prototype of label 0"):
        explain(Detector(corners, bare), START, to=0)
    assert searched(explain(Detector(corners, bare), START, to=END)).prototype is None


@pytest.mark.parametrize("label", [-1, 4])
def test_a_label_that_does_not_exist_is_refused(detector: Detector, label: int) -> None:
    with pytest.raises(DetectorError, match="from 0 to 3"):
        explain(detector, START, to=label)


def test_a_target_of_another_shape_or_range_is_refused(detector: Detector) -> None:
    with pytest.raises(ImageError, match="shape"):
        explain(detector, START, to=END[:, :2])
    with pytest.raises(ImageError, match="outside"):
        explain(detector, START, to=END * 2)


@pytest.mark.usefixtures("untouched_randomness")
def test_one_image_has_one_explanation(altered: Callable[..., Detector]) -> None:
    first, second = (searched(explain(altered(with_a_hill), START, to=END)) for _ in range(2))
    assert torch.equal(first.found.strip, second.found.strip)
    assert first.search == second.search
