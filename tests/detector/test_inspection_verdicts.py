"""Verdicts of an inspection are those of each image on its own, whatever else comes, goes or fails."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from toy_cases.inspections import N_IMAGES, finished, searching

from detector.detector import Detector
from detector.inspection import Inspection
from detector.verdict import Verdict

RATES = tuple((0.05, 0.3, 0.6)[index % 3] for index in range(N_IMAGES))


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
