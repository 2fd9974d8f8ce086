"""Paths that explain a verdict: where they lead, what rises on them, and how deep in the classifier."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from toy_cases.hills import END, START, all_but_hill, searched, with_a_hill

from detector.bundle import Bundle
from detector.detector import Detector
from detector.evaluation.connection import N_PICTURES
from detector.evaluation.explanation import ExplanationSettings, explain
from detector.potentials import cross_entropy
from detector.search import MethodName, PotentialKind, SearchOutcome
from detector.verdict import Decision


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
