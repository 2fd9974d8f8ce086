import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from detector.bundle import Bundle
from detector.detector import Detector
from detector.inspection import Inspection
from detector.types import ImageError, LabelledImages, to_pixels
from detector.verdict import Decision, Outcome, Verdict

N_IMAGES = 12
RATES = tuple((0.05, 0.3, 0.6)[index % 3] for index in range(N_IMAGES))


@pytest.fixture
def images(corner_images: Callable[..., LabelledImages]) -> Tensor:
    return to_pixels(corner_images(N_IMAGES, seed=8).images)


@pytest.fixture
def doubting(rippled: Any, hesitant: Bundle) -> Detector:
    return Detector(rippled, hesitant)


@pytest.fixture
def expected(doubting: Detector, images: Tensor) -> list[Verdict]:
    """Each image on its own, its paths searched without interruption."""
    evidence = [doubting.measure(image[None]) for image in images]
    return [doubting.verdicts(one, [rate])[0] for one, rate in zip(evidence, RATES, strict=True)]


def assert_alike(found: Verdict, expected: Verdict) -> None:
    for name in ("decision", "outcome", "label", "p_value", "false_positive_rate", "suspected_label", "prototype"):
        assert getattr(found, name) == getattr(expected, name), name
    assert found.score == pytest.approx(expected.score, abs=1e-4)
    assert found.barrier == pytest.approx(expected.barrier, abs=1e-4)
    assert found.profile == pytest.approx(expected.profile, abs=1e-4)


def finished(inspection: Inspection) -> dict[Any, Verdict]:
    found: dict[Any, Verdict] = {}
    while not inspection.is_idle:
        found |= inspection.step()
    return found


def run(inspection: Inspection, images: Tensor, chance: Any) -> tuple[dict[Any, Verdict], set[int]]:
    """Admit all images, a few at a time and in any order, and drop some; verdicts, and which were dropped."""
    waiting, found, dropped = list(chance.permutation(N_IMAGES)), {}, set()
    while waiting or not inspection.is_idle:
        n_taken = min(chance.upto(3) or inspection.is_idle, inspection.n_free, len(waiting))
        taken, waiting = waiting[:n_taken], waiting[n_taken:]
        inspection.admit(taken, images[taken], [RATES[index] for index in taken])
        if chance.upto(3) == 0 and inspection.tickets:
            gone = inspection.tickets[chance.upto(len(inspection.tickets) - 1)]
            inspection.drop([gone])
            dropped.add(gone)
        found |= inspection.step()
    return found, dropped


class Chance:
    """Choices that hypothesis draws."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data

    def upto(self, largest: int) -> int:
        return int(self.data.draw(st.integers(0, largest)))

    def permutation(self, n: int) -> list[int]:
        return self.data.draw(st.permutations(range(n)))


@pytest.mark.parametrize("images_per_step", [1, 3, None])
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_verdicts_do_not_depend_on_what_comes_and_goes(
    doubting: Detector, images: Tensor, expected: list[Verdict], images_per_step: int | None, data: st.DataObject
) -> None:
    assert 3 < int(doubting.in_doubt(doubting.straight(images)).sum()) < N_IMAGES
    found, dropped = run(Inspection(doubting, images_per_step), images, Chance(data))
    assert found.keys() | dropped == set(range(N_IMAGES))
    assert not found.keys() & dropped
    for index, verdict in found.items():
        assert_alike(verdict, expected[index])


def test_a_detector_inspects_as_an_inspection_does(doubting: Detector, images: Tensor, expected: list[Verdict]) -> None:
    for rate in set(RATES):
        rows = [row for row in range(N_IMAGES) if RATES[row] == rate]
        found = doubting.inspect(images[rows], false_positive_rate=rate)
        for verdict, row in zip(found, rows, strict=True):
            assert_alike(verdict, expected[row])


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


def searching(detector: Detector, images: Tensor, tickets: list[int], n_steps: int) -> Inspection:
    inspection = Inspection(detector, 8)
    inspection.admit(tickets, images[tickets], [0.05] * len(tickets))
    for _ in range(n_steps):
        inspection.step()
    return inspection


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


def test_a_step_that_fails_loses_nothing(
    doubting: Detector, rippled: Any, images: Tensor, expected: list[Verdict]
) -> None:
    """Every single forward pass of a whole inspection fails once."""
    tickets = [2, 3, 6, 10]
    logits, n_passes, failing = rippled.logits, 0, 0

    def fails_once(pixels: Tensor) -> Tensor:
        nonlocal n_passes
        n_passes += 1
        if n_passes == failing:
            raise RuntimeError("out of memory")
        return logits(pixels)

    rippled.logits = fails_once
    finished(searching(doubting, images, tickets, 0))
    for failing_pass in range(1, n_passes + 1):
        failing, n_passes, n_failures = failing_pass, 0, 0
        inspection = Inspection(doubting, 8)
        inspection.admit(tickets, images[tickets], [RATES[index] for index in tickets])
        found: dict[Any, Verdict] = {}
        while not inspection.is_idle:
            try:
                found |= inspection.step()
            except RuntimeError:
                n_failures += 1
        assert n_failures == 1
        assert found.keys() == set(tickets)
        for index, verdict in found.items():
            assert_alike(verdict, expected[index])


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
