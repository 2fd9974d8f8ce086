import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from detector.search.geometry import (
    along_plane,
    into_plane_and_box,
    node_positions,
    roughness,
    sample_path,
    straight_nodes,
)


def images(*rows: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64).view(len(rows), 1, 1, -1)


def test_positions_are_lengths_along_the_path() -> None:
    nodes = images((0.0, 0.0), (0.3, 0.4), (0.3, 0.4), (0.3, 1.0))[None]
    assert node_positions(nodes).flatten().tolist() == pytest.approx([0, 0.5, 0.5, 1.1])


def test_points_on_a_straight_path_are_equally_far_from_one_another() -> None:
    points, positions = sample_path(straight_nodes(images((0.0, 0.0)), images((1.0, 0.0)), 3), 5)
    assert points[0, :, 0, 0, 0].tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert positions[0].tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_a_point_near_a_node_is_moved_onto_it() -> None:
    nodes = images((0.0, 0.0), (0.4, 0.0), (1.0, 0.0))[None]
    points, _ = sample_path(nodes, 3)
    assert points[0, :, 0, 0, 0].tolist() == [0, pytest.approx(0.4), 1]


def test_repeated_nodes_add_nothing_to_a_path() -> None:
    plain = images((0.0, 0.0), (0.5, 0.5), (1.0, 0.0))[None]
    padded = torch.cat([plain, plain[:, -1:], plain[:, -1:]], 1)
    torch.testing.assert_close(sample_path(padded, 9)[0], sample_path(plain, 9)[0])


def test_a_path_of_no_length_is_sampled_at_its_point() -> None:
    points, _ = sample_path(straight_nodes(images((0.2, 0.7)), images((0.2, 0.7)), 4), 5)
    assert torch.equal(points, images((0.2, 0.7))[None].expand(1, 5, 1, 1, 2))


def test_what_lies_along_a_plane_is_orthogonal_to_its_normal() -> None:
    part = along_plane(images((3.0, 4.0)), images((2.0, 0.0)))
    assert part.flatten().tolist() == [0, 4]


def test_a_normal_of_no_length_takes_nothing_away() -> None:
    assert along_plane(images((3.0, 4.0)), images((0.0, 0.0))).flatten().tolist() == [3, 4]


UNIT = st.floats(0, 1, allow_subnormal=False)


@given(
    anchor=st.tuples(UNIT, UNIT, UNIT),
    normal=st.tuples(*[st.floats(-1, 1, allow_subnormal=False)] * 3).filter(lambda n: math.hypot(*n) > 0.1),
    point=st.tuples(*[st.floats(-2, 3, allow_subnormal=False)] * 3),
)
def test_points_are_put_into_plane_and_box(
    anchor: tuple[float, ...], normal: tuple[float, ...], point: tuple[float, ...]
) -> None:
    moved = into_plane_and_box(images(point), images(normal), images(anchor)).flatten()
    assert ((moved >= 0) & (moved <= 1)).all()
    lack = (moved - torch.tensor(anchor, dtype=torch.float64)) @ torch.tensor(normal, dtype=torch.float64)
    assert abs(lack.item()) < 1e-9


def test_the_nearest_point_of_plane_and_box_is_found() -> None:
    """In the plane x + y = 1 the box leaves the stretch from (1, 0) to (0, 1); beyond it the corner is nearest."""
    moved = into_plane_and_box(images((0.3, 0.1), (3.0, -1.0)), images(*[(1.0, 1.0)] * 2), images(*[(0.5, 0.5)] * 2))
    torch.testing.assert_close(moved.flatten(1), torch.tensor([[0.6, 0.4], [1.0, 0.0]], dtype=torch.float64))


def test_a_constant_image_is_not_rough() -> None:
    assert roughness(torch.full((1, 3, 4, 5), 0.3)).item() == pytest.approx(0, abs=1e-12)


def test_a_chequerboard_is_as_rough_as_its_contrast() -> None:
    """Away from the edge every pixel differs by the full contrast from the mean of its neighbours."""
    board = ((torch.arange(8)[:, None] + torch.arange(8)) % 2).float()[None, None]
    inner = board - 0.5
    assert 0.5 < roughness(inner).item() <= 1
    assert roughness(2 * inner).item() == pytest.approx(4 * roughness(inner).item())
