import pytest
import torch
from torch import Tensor

from detector.evaluation.detour import detour_around


def path(*corners: tuple[float, float]) -> Tensor:
    return torch.tensor(corners).view(1, -1, 1, 1, 2)


STRAIGHT = path((0.0, 0.5), (0.5, 0.5), (1.0, 0.5))
PEAK_IN_THE_MIDDLE = torch.tensor([[0.0, 1.0, 2.0, 1.0, 0.0]])


def test_a_bend_above_the_highest_point_is_met_where_it_stands() -> None:
    detour = detour_around(STRAIGHT, PEAK_IN_THE_MIDDLE, path((0.0, 0.5), (0.5, 0.9), (1.0, 0.5)))
    assert detour is not None
    assert detour.share == 0.5
    assert torch.equal(detour.straight.flatten(), torch.tensor([0.5, 0.5]))
    assert torch.allclose(detour.found.flatten(), torch.tensor([0.5, 0.9]))
    assert detour.mean_size == pytest.approx(255 * 0.4 / 2)


def test_between_two_bends_the_path_is_met_on_the_piece_that_joins_them() -> None:
    found = path((0.0, 0.5), (0.25, 0.7), (0.75, 0.9), (1.0, 0.5))
    detour = detour_around(STRAIGHT, PEAK_IN_THE_MIDDLE, found)
    assert detour is not None
    assert torch.allclose(detour.found.flatten(), torch.tensor([0.5, 0.8]))


def test_a_peak_near_the_start_is_where_the_detour_is_measured() -> None:
    profile = torch.tensor([[0.0, 2.0, 1.0, 1.0, 0.0]])
    detour = detour_around(STRAIGHT, profile, path((0.0, 0.5), (0.5, 0.9), (1.0, 0.5)))
    assert detour is not None
    assert detour.share == 0.25
    assert torch.allclose(detour.found.flatten(), torch.tensor([0.25, 0.7]))


def test_an_end_that_is_higher_than_the_rest_is_no_point_to_go_round() -> None:
    profile = torch.tensor([[9.0, 1.0, 2.0, 1.0, 8.0]])
    detour = detour_around(STRAIGHT, profile, path((0.0, 0.5), (0.5, 0.9), (1.0, 0.5)))
    assert detour is not None
    assert detour.share == 0.5


def test_a_path_without_length_has_no_detour() -> None:
    point = path((0.5, 0.5), (0.5, 0.5), (0.5, 0.5))
    assert detour_around(point, PEAK_IN_THE_MIDDLE, point) is None


def test_a_profile_with_a_gap_has_no_highest_point_to_go_round() -> None:
    assert detour_around(STRAIGHT, torch.tensor([[0.0, torch.nan, 2.0, 1.0, 0.0]]), STRAIGHT) is None
