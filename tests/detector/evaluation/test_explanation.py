import copy
import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from detector.bundle import Bundle
from detector.detector import Detector
from detector.evaluation.connection import N_PICTURES
from detector.evaluation.explanation import Explanation, ExplanationSettings, explain
from detector.potentials import cross_entropy
from detector.search import MethodName, PotentialKind, SearchOutcome
from detector.types import DetectorError, ImageError, LabelledImages, to_pixels
from detector.verdict import Decision

MEANS = (0.9, 0.2, 0.2, 0.2), (0.9, 0.5, 0.5, 0.5)
"""Brightness by quarter of two images that `corners` takes for its first label."""


def quarters(means: tuple[float, ...]) -> Tensor:
    return torch.tensor(means).view(1, 2, 2).repeat_interleave(2, 1).repeat_interleave(2, 2)


START, END = quarters(MEANS[0]), quarters(MEANS[1])


def all_but_hill(pixels: Tensor) -> Tensor:
    """40 times the quarters' means."""
    return 40 * torch.nn.functional.avg_pool2d(pixels[:, 0], 2).flatten(1)


def with_a_hill(pixels: Tensor) -> Tensor:
    """Near the middle between START and END, a little to one side of it, the first label loses 40 logits."""
    top = (START + END) / 2
    top = top + 0.03 * quarters((0.0, 1.0, -1.0, 0.0)) / 8**0.5
    hill = 40 * torch.exp(-(pixels - top).square().flatten(1).sum(1) / (2 * 0.15**2))
    logits = all_but_hill(pixels)
    return torch.cat([logits[:, :1] - hill[:, None], logits[:, 1:]], 1)


@pytest.fixture
def detector(bundle: Bundle, corners: Any) -> Detector:
    return Detector(corners, bundle)


@pytest.fixture
def altered(bundle: Bundle, corners: Any) -> Callable[..., Detector]:
    """The detector, its classifier changed behind the back of its digest."""

    def build(logits: Callable[[Tensor], Tensor]) -> Detector:
        classifier = copy.copy(corners)
        classifier.logits = logits
        return Detector(classifier, bundle)

    return build


@pytest.fixture
def images(corner_images: Callable[..., LabelledImages]) -> Tensor:
    return to_pixels(corner_images(6, seed=9).images)


def searched(explanation: Explanation) -> Any:
    assert explanation.connection is not None
    assert explanation.connection.search is not None
    assert explanation.connection.found is not None
    return explanation.connection


def test_the_verdict_is_the_one_that_the_detector_gives(detector: Detector, images: Tensor) -> None:
    for image in images:
        assert explain(detector, image).verdict == detector.inspect(image[None])[0]


def test_without_a_target_the_path_leads_to_the_lowest_prototype_of_the_predicted_label(
    detector: Detector, images: Tensor
) -> None:
    explanation = explain(detector, images[0])
    connection = searched(explanation)
    label = explanation.verdict.label
    own = [link for link in explanation.prototypes if link.label == label]
    assert len(own) == detector.bundle.prototypes.n_prototypes
    chosen = next(link for link in own if link.prototype == connection.prototype)
    assert connection.label == label
    assert chosen.barrier == min(link.barrier for link in own)
    assert torch.equal(connection.target, detector.bundle.prototypes.pixels()[label, connection.prototype])
    assert torch.equal(connection.straight.strip[0], images[0])
    assert torch.equal(connection.straight.strip[-1], connection.target)
    assert len(connection.straight.strip) == len(connection.found.strip) == N_PICTURES


def test_a_label_that_is_asked_for_is_where_the_path_leads_and_what_is_measured(
    detector: Detector, images: Tensor
) -> None:
    other = (explain(detector, images[0]).verdict.label + 2) % 4
    connection = searched(explain(detector, images[0], to=other))
    assert connection.label == other
    logits = all_but_hill(images[:1])
    at_image = connection.straight.profiles[PotentialKind.CROSS_ENTROPY][0]
    assert at_image.item() == pytest.approx(cross_entropy(logits, torch.tensor([other])).item(), rel=1e-4)


def test_nearest_prototypes_come_first_and_an_image_that_is_one_is_nearest_to_itself(detector: Detector) -> None:
    prototype = detector.bundle.prototypes.pixels()[2, 1]
    explanation = explain(detector, prototype, to=2)
    links = [link for link in explanation.prototypes if link.label == 2]
    assert links[0].prototype == 1
    assert links[0].log_distance == pytest.approx(math.log(1e-6), abs=1e-3)
    assert links[0].barrier == 0
    assert [link.log_distance for link in links] == sorted(link.log_distance for link in links)


def test_a_hill_between_two_images_is_found_measured_and_gone_round(altered: Callable[..., Detector]) -> None:
    connection = searched(explain(altered(with_a_hill), START, to=END))
    before, after = connection.straight.barriers, connection.found.barriers
    # In the middle the first logit is 36 - 40 and the others are 14: cross-entropy log(1 + 3·exp(18)).
    expected = 18 + math.log(3)
    assert before[PotentialKind.CROSS_ENTROPY] == pytest.approx(expected, abs=1)
    assert connection.search.barrier_before == pytest.approx(before[PotentialKind.CROSS_ENTROPY], rel=1e-4)
    assert connection.search.barrier_after == pytest.approx(after[PotentialKind.CROSS_ENTROPY], rel=1e-4, abs=1e-6)
    assert after[PotentialKind.CROSS_ENTROPY] < before[PotentialKind.CROSS_ENTROPY] / 2
    assert connection.search.n_steps > 0
    assert connection.detour.share == pytest.approx(0.5, abs=0.1)
    assert connection.detour.mean_size == pytest.approx(
        255 * (connection.detour.found - connection.detour.straight).abs().mean().item()
    )
    assert connection.detour.mean_size > 1
    assert list(before) == list(after) == list(PotentialKind)
    # The lead of the others is 18 in the middle, and -28 and -16 at the ends.
    assert before[PotentialKind.MARGIN] == pytest.approx(34, abs=2)


@pytest.mark.parametrize("method", MethodName)
def test_every_method_can_be_asked_for(altered: Callable[..., Detector], method: MethodName) -> None:
    connection = searched(explain(altered(with_a_hill), START, to=END, settings=ExplanationSettings(method=method)))
    assert connection.search.barrier_after <= connection.search.barrier_before
    assert connection.search.forward_equivalents <= ExplanationSettings().search.budget + 33


def test_the_potential_that_is_asked_for_is_the_one_that_is_lowered(altered: Callable[..., Detector]) -> None:
    for kind in PotentialKind:
        connection = searched(
            explain(altered(with_a_hill), START, to=END, settings=ExplanationSettings(potential=kind))
        )
        assert connection.search.barrier_before == pytest.approx(connection.straight.barriers[kind], rel=1e-3, abs=1e-5)


def test_a_path_without_a_hill_is_left_as_it_is(detector: Detector) -> None:
    connection = searched(explain(detector, START, to=END))
    assert connection.search.outcome is SearchOutcome.NO_BARRIER
    assert torch.equal(connection.found.strip, connection.straight.strip)
    assert connection.detour is None


def test_the_path_to_the_same_image_has_no_length(detector: Detector) -> None:
    connection = searched(explain(detector, START, to=START))
    assert connection.search.outcome is SearchOutcome.NO_LENGTH
    assert connection.prototype is None
    assert connection.label == 0
    assert set(connection.straight.barriers.values()) == {0.0}
    assert connection.detour is None


def test_a_classifier_without_gradients_is_explained_without_a_search(altered: Callable[..., Detector]) -> None:
    connection = explain(altered(lambda pixels: with_a_hill(pixels).detach()), START, to=END).connection
    assert connection is not None
    assert (connection.search, connection.found, connection.detour) == (None, None, None)
    assert connection.refusal is not None
    assert "cannot be differentiated" in connection.refusal
    assert connection.straight.barriers[PotentialKind.CROSS_ENTROPY] > 10


def test_what_is_not_a_number_on_the_way_is_told_and_stops_nothing(altered: Callable[..., Detector]) -> None:
    def torn(pixels: Tensor) -> Tensor:
        is_near = ((pixels - (START + END) / 2).abs().flatten(1).amax(1) < 0.03)[:, None]
        return all_but_hill(pixels).masked_fill(is_near, torch.nan)

    explanation = explain(altered(torn), START, to=END)
    connection = searched(explanation)
    assert explanation.verdict.decision is not Decision.UNDECIDED
    assert connection.search.outcome is SearchOutcome.NON_FINITE
    assert math.isnan(connection.straight.barriers[PotentialKind.CROSS_ENTROPY])
    assert connection.detour is None


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


def test_depth_is_left_out_where_the_classifier_cannot_be_cut(detector: Detector) -> None:
    connection = searched(explain(detector, START))
    assert connection.layerwise is None
    assert "stages" in connection.layerwise_refusal


class Resumable:
    """`corners` with its hill, which is over once the quarters' means have been taken."""

    def __init__(self, whole: Any) -> None:
        self.whole, self.digest = whole, whole.digest
        self.labels, self.input_shape, self.device = whole.labels, whole.input_shape, whole.device

    def __call__(self, pixels: Tensor) -> Any:
        return self.whole(pixels)

    def resume(self, name: str, activations: Tensor, _pixels: Tensor) -> Tensor:
        return with_a_hill(activations[:, :1]) if name == "map" else 40 * activations


class OneGraph(Resumable):
    """Could be entered at its stages, had it any."""

    def resume(self, name: str, _activations: Tensor, _pixels: Tensor) -> Tensor:
        raise ValueError(f"{name} cannot be entered; give the network")


def test_depth_is_left_out_where_the_classifiers_own_package_refuses(corners: Any, bundle: Bundle) -> None:
    connection = searched(explain(Detector(OneGraph(corners), bundle), START))
    assert (connection.layerwise, connection.layerwise_refusal) == (None, "map cannot be entered")


def test_the_depth_at_which_a_hill_ends_is_told(altered: Callable[..., Detector], bundle: Bundle) -> None:
    detector = Detector(Resumable(altered(with_a_hill).classifier), bundle)
    connection = searched(explain(detector, START, to=END))
    assert connection.layerwise_refusal is None
    assert connection.layerwise.stages == ("pixels", "map", "means")
    at_pixels, at_map, at_means = connection.layerwise.barriers[:, 0].tolist()
    assert at_pixels == pytest.approx(connection.straight.barriers[PotentialKind.CROSS_ENTROPY], rel=1e-4)
    assert at_map == pytest.approx(at_pixels, rel=1e-4)
    assert at_means == pytest.approx(0, abs=1e-6)


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
