from typing import Any

import pytest
import torch

from detector.search.landscape import Landscape
from detector.types import DetectorError

POINTS = torch.rand(7, 1, 1, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
PATHS = torch.tensor([0, 0, 2, 2, 2, 1, 0])


def test_points_are_evaluated_in_passes_of_bounded_size_and_come_back_in_order(surface: Any) -> None:
    potential = surface(lambda x, y: 3 * x - y)
    landscape = Landscape(potential, 3, points_per_pass=3)
    values = landscape.values(POINTS, PATHS)
    assert potential.passes == [3, 3, 1]
    torch.testing.assert_close(values, 3 * POINTS[:, 0, 0, 0] - POINTS[:, 0, 0, 1])


def test_each_path_is_charged_for_its_own_points_and_three_for_a_gradient(surface: Any) -> None:
    landscape = Landscape(surface(lambda x, y: x * y), 4, points_per_pass=100)
    landscape.values(POINTS, PATHS)
    assert landscape.spent.tolist() == [3, 1, 3, 0]
    landscape.gradients(POINTS[:3], PATHS[:3])
    assert landscape.spent.tolist() == [3 + 6, 1, 3 + 3, 0]


def test_gradients_are_those_of_each_point_alone(surface: Any) -> None:
    values, gradients = Landscape(surface(lambda x, y: x * y), 3, points_per_pass=2).gradients(POINTS, PATHS)
    torch.testing.assert_close(values, POINTS[:, 0, 0, 0] * POINTS[:, 0, 0, 1])
    torch.testing.assert_close(gradients, POINTS.flip(-1))
    assert not values.requires_grad


def test_no_points_cost_nothing(surface: Any) -> None:
    landscape = Landscape(surface(lambda x, y: x * y), 3, points_per_pass=2)
    assert landscape.values(POINTS[:0], PATHS[:0]).shape == (0,)
    assert landscape.gradients(POINTS[:0], PATHS[:0])[1].shape == (0, 1, 1, 2)
    assert landscape.spent.tolist() == [0, 0, 0]


def test_an_error_that_has_nothing_to_do_with_gradients_is_not_hidden() -> None:
    def broken(points: torch.Tensor, paths: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("the weights upgraded themselves")

    with pytest.raises(RuntimeError, match="upgraded"):
        Landscape(broken, 3, points_per_pass=2).gradients(POINTS, PATHS)


def test_a_potential_that_does_not_depend_on_the_pixels_is_refused() -> None:
    weight = torch.ones(1, requires_grad=True)
    with pytest.raises(DetectorError, match="cannot be differentiated"):
        Landscape(lambda points, _: weight.expand(len(points)), 3, points_per_pass=2).gradients(POINTS, PATHS)


def test_a_number_that_is_given_to_another_path_has_cost_nothing_yet(surface: Any) -> None:
    landscape = Landscape(surface(lambda x, y: x * y), 3, points_per_pass=100)
    landscape.values(POINTS, PATHS)
    landscape.forget(torch.tensor([2]))
    assert landscape.spent.tolist() == [3, 1, 0]


def test_a_profile_is_measured_between_ends_that_are_known(surface: Any) -> None:
    potential = surface(lambda x, y: x + y)
    landscape = Landscape(potential, 2, points_per_pass=4)
    nodes = torch.tensor([[[0.0, 0.0], [1.0, 1.0]], [[0.5, 0.0], [0.5, 1.0]]], dtype=torch.float64).view(2, 2, 1, 1, 2)
    paths = torch.tensor([1, 0])
    whole = landscape.profiles(nodes, paths, 3)
    torch.testing.assert_close(whole, torch.tensor([[0.0, 1.0, 2.0], [0.5, 1.0, 1.5]], dtype=torch.float64))
    assert landscape.spent.tolist() == [3, 3]
    assert max(potential.passes) <= 4
    assert torch.equal(landscape.profiles(nodes, paths, 3, whole[:, [0, -1]]), whole)
    assert landscape.spent.tolist() == [4, 4]
