"""What inspections admit, drop and decide step by step, and what that costs."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from toy_cases.inspections import N_IMAGES, finished, searching

from detector.bundle import Bundle
from detector.detector import Detector
from detector.inspection import Inspection
from detector.types import ImageError
from detector.verdict import Decision, Outcome


def test_without_a_second_opinion_every_step_decides_what_was_admitted(
    bundle: Bundle, corners: Any, images: Tensor
) -> None:
    detector = Detector(corners, bundle)
    inspection = Inspection(detector, 4)
    inspection.admit("abc", images[:3], [0.05] * 3)
    assert (inspection.n_free, inspection.n_in_hand, inspection.tickets) == (1, 3, ("a", "b", "c"))
    assert dict(inspection.step()) == dict(zip("abc", detector.inspect(images[:3]), strict=True))
    assert inspection.is_idle
    assert inspection.n_free == 4
    assert inspection.step() == []


def test_a_dropped_image_costs_no_forward_pass(bundle: Bundle, corners: Any, images: Tensor) -> None:
    inspection = Inspection(Detector(corners, bundle), 8)
    inspection.admit(range(8), images[:8], [0.05] * 8)
    inspection.drop([0, 3, 4, "never admitted"])
    assert {ticket for ticket, _ in inspection.step()} == {1, 2, 5, 6, 7}
    assert sum(corners.batches) == 5 * bundle.forward_equivalents
    inspection.admit([9], images[:1], [0.05])
    inspection.drop([9])
    assert inspection.step() == []
    assert sum(corners.batches) == 5 * bundle.forward_equivalents


@pytest.mark.parametrize("n_steps", [1, 2, 3, 5])
def test_dropping_an_image_ends_its_paths_before_the_next_step(
    doubting: Detector, rippled: Any, images: Tensor, n_steps: int
) -> None:
    """What is left costs from then on exactly what it would have cost alone."""
    alone = searching(doubting, images, [4], n_steps)
    among_others = searching(doubting, images, [0, 3, 4, 5, 11], n_steps)
    among_others.drop([0, 3, 5, 11])
    costs = []
    for inspection in (alone, among_others):
        rippled.batches.clear()
        assert finished(inspection).keys() == {4}
        costs.append(sum(rippled.batches))
    assert costs[0] == costs[1] > 0
    gone = searching(doubting, images, [0, 3, 4], n_steps)
    gone.drop(gone.tickets)
    rippled.batches.clear()
    assert gone.is_idle
    assert gone.step() == []
    assert rippled.batches == []


def test_an_image_admitted_later_takes_the_slots_that_others_leave(doubting: Detector, images: Tensor) -> None:
    """One of the two paths of image 0 needs twice the steps of the other, whose slot is used meanwhile."""

    def n_steps(tickets: list[int]) -> int:
        inspection, n_steps = Inspection(doubting, 1), 0
        while tickets or not inspection.is_idle:
            if tickets and inspection.n_free:
                inspection.admit(tickets[:1], images[tickets[:1]], [0.05])
                tickets = tickets[1:]
            inspection.step()
            n_steps += 1
        return n_steps

    assert n_steps([0, 4, 11]) < n_steps([0]) + n_steps([4]) + n_steps([11])


def test_new_images_and_those_in_doubt_take_turns(doubting: Detector, images: Tensor) -> None:
    """Image 0 is searched while a stream of images that are not in doubt goes on, each of them decided at once."""
    inspection = Inspection(doubting, 1)
    inspection.admit([0], images[:1], [0.05])
    inspection.step()
    first_waits, seen = None, 0
    for turn in range(1, 200):
        if inspection.n_free:
            inspection.admit([("sure", turn)], images[2:3], [0.05])
        for ticket, _ in inspection.step():
            first_waits = turn if ticket == 0 else first_waits
            seen += ticket != 0
        if first_waits:
            break
    assert first_waits
    assert abs(first_waits / 2 - seen) <= 1


def test_each_image_is_judged_at_its_own_rate(bundle: Bundle, corners: Any, images: Tensor) -> None:
    inspection = Inspection(Detector(corners, bundle))
    (p_value,) = {verdict.p_value for verdict in Detector(corners, bundle).inspect(images[:1])}
    assert p_value is not None
    rates = [p_value, math.nextafter(p_value, 0)]
    inspection.admit(["at", "below"], images[[0, 0]], rates)
    found = finished(inspection)
    assert (found["at"].decision, found["below"].decision) == (Decision.ADVERSARIAL, Decision.CLEAN)
    assert [found[ticket].false_positive_rate for ticket in ("at", "below")] == rates


def test_an_image_that_cannot_be_decided_is_not_searched(doubting: Detector, rippled: Any, images: Tensor) -> None:
    inspection = Inspection(doubting)
    inspection.admit(["nan"], torch.full_like(images[:1], torch.nan), [0.05])
    ((ticket, verdict),) = inspection.step()
    assert (ticket, verdict.outcome) == ("nan", Outcome.NON_FINITE)
    assert sum(rippled.batches) == doubting.bundle.forward_equivalents


def test_images_of_other_types_wait_together(bundle: Bundle, corners: Any, images: Tensor) -> None:
    detector = Detector(corners, bundle)
    inspection = Inspection(detector)
    inspection.admit([0], images[:1].double(), [0.05])
    inspection.admit([1], images[1:2], [0.05])
    assert dict(inspection.step()) == dict(enumerate(detector.inspect(images[:2])))


def test_what_cannot_be_admitted_is_refused_and_changes_nothing(doubting: Detector, images: Tensor) -> None:
    inspection = Inspection(doubting, 2)
    inspection.admit([0], images[:1], [0.05])
    inspection.step()
    inspection.admit([1], images[1:2], [0.05])
    assert inspection.tickets == (1, 0)
    for tickets in ([0], [1], [2, 2]):
        with pytest.raises(ValueError, match=r"same ticket|may be admitted"):
            inspection.admit(tickets, images[: len(tickets)], [0.05] * len(tickets))
    with pytest.raises(ValueError, match="2 images came where 1 may be admitted"):
        inspection.admit([2, 3], images[:2], [0.05] * 2)
    with pytest.raises(ImageError, match="resize or convert"):
        inspection.admit([2], torch.zeros(1, 1, 5, 4), [0.05])
    with pytest.raises(ValueError, match="zip"):
        inspection.admit([2], images[:1], [0.05, 0.1])
    assert inspection.tickets == (1, 0)
    assert finished(inspection).keys() == {0, 1}


def test_a_step_of_no_image_is_refused(bundle: Bundle, corners: Any) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Inspection(Detector(corners, bundle), 0)


def test_passes_shrink_with_the_images_of_a_step(doubting: Detector, rippled: Any, images: Tensor) -> None:
    """So that a step that ran out of memory can be tried again with less."""
    detector = Detector(rippled, doubting.bundle, pixels_per_pass=16 * 64)
    largest = []
    for images_per_step in (detector.images_per_step, 2):
        rippled.batches.clear()
        inspection, waiting = Inspection(detector, images_per_step), list(range(N_IMAGES))
        while waiting or not inspection.is_idle:
            taken, waiting = waiting[: inspection.n_free], waiting[inspection.n_free :]
            inspection.admit(taken, images[taken], [0.05] * len(taken))
            inspection.step()
        largest.append(max(rippled.batches))
    assert largest[0] <= 64
    assert largest[1] <= 64 * 2 / detector.images_per_step
