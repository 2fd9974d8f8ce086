import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from detector.paths import barrier_height, fans, straight_paths
from detector.potentials import cross_entropy

UNIT = st.floats(0, 1, width=32)


def test_a_path_that_only_descends_has_no_barrier() -> None:
    assert barrier_height(torch.tensor([[3.0, 2.0, 1.0, 0.0]])).tolist() == [0.0]


def test_a_path_that_only_rises_has_no_barrier() -> None:
    assert barrier_height(torch.tensor([[0.0, 1.0, 2.0]])).tolist() == [0.0]


def test_a_barrier_is_measured_from_the_higher_endpoint() -> None:
    profiles = torch.tensor([[1.0, 5.0, 2.0], [2.0, 5.0, 1.0], [0.0, -1.0, 0.0]])
    assert barrier_height(profiles).tolist() == [3.0, 3.0, 0.0]


def test_crossing_the_disc_of_another_label_costs_the_ridge_in_its_middle(radial: Any) -> None:
    start, end = torch.tensor([[[[0.0, 0.5]]]]), torch.tensor([[[[1.0, 0.5]]]])
    waypoints = straight_paths(start, end, torch.linspace(0, 1, 5))
    profile = cross_entropy(radial(waypoints[0]).logits, torch.zeros(5, dtype=torch.int64))
    # Log-odds of the disc are 20·(r² − d²): 1.25 in the middle, −3.75 at both ends.
    expected = math.log1p(math.exp(1.25)) - math.log1p(math.exp(-3.75))
    assert barrier_height(profile[None]).item() == pytest.approx(expected, rel=1e-5)


def test_walking_out_of_the_disc_along_its_radius_only_descends(radial: Any) -> None:
    start, end = torch.tensor([[[[0.5, 0.5]]]]), torch.tensor([[[[1.0, 0.5]]]])
    waypoints = straight_paths(start, end, torch.linspace(0, 1, 9))
    profile = cross_entropy(radial(waypoints[0]).logits, torch.zeros(9, dtype=torch.int64))
    assert barrier_height(profile[None]).tolist() == [0.0]


@given(start=UNIT, end=UNIT, mixing=st.lists(UNIT, min_size=1, max_size=4))
def test_straight_paths_stay_within_the_pixel_range(start: float, end: float, mixing: list[float]) -> None:
    starts, ends = torch.full((1, 1, 1, 1), start), torch.full((1, 1, 1, 1), end)
    waypoints = straight_paths(starts, ends, torch.tensor(mixing))
    assert ((waypoints >= 0) & (waypoints <= 1)).all()


def test_straight_paths_hit_both_ends_exactly() -> None:
    starts, ends = torch.rand(2, 5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    waypoints = straight_paths(starts, ends, torch.tensor([0.0, 0.3, 1.0]))
    assert waypoints.shape == (5, 3, 3, 4, 4)
    assert torch.equal(waypoints[:, 0], starts)
    assert torch.equal(waypoints[:, 2], ends)
    torch.testing.assert_close(waypoints[:, 1], 0.7 * starts + 0.3 * ends)


def test_fans_are_the_straight_paths_from_each_start_to_each_of_its_ends() -> None:
    generator = torch.Generator().manual_seed(0)
    starts, ends = torch.rand(2, 3, 4, 4, generator=generator), torch.rand(2, 5, 3, 4, 4, generator=generator)
    mixing = torch.tensor([0.0, 0.3, 1.0])
    found = fans(starts, ends, mixing)
    assert found.shape == (2, 5, 3, 3, 4, 4)
    copied = straight_paths(starts.repeat_interleave(5, 0), ends.flatten(0, 1), mixing)
    assert torch.equal(found.flatten(0, 1), copied)
