import math
from typing import Any

import pytest
import torch
from torch import Tensor

from detector.search import SearchSettings, search_paths
from detector.search.bypass import Bypass
from detector.search.geometry import dot, straight_nodes
from detector.search.landscape import Landscape
from detector.search.method import Problem
from detector.types import DetectorError

START, END = torch.tensor([[[[0.1, 0.5]]]], dtype=torch.float64), torch.tensor([[[[0.9, 0.5]]]], dtype=torch.float64)


def wall(x: Tensor, y: Tensor) -> Tensor:
    """High at x = 0.4 and lower the larger y; the flanks are steep along x, where no step may go."""
    return (1 - y) * torch.exp(-((x - 0.4) ** 2) / 0.01)


def state_after(method: Bypass, potential: Any, steps: int, start: Tensor = START, end: Tensor = END) -> Any:
    nodes = straight_nodes(start, end, method.n_nodes)
    points = straight_nodes(start, end, 9)
    profile = potential(points[0], torch.zeros(9, dtype=torch.int64))[None]
    problem = Problem(
        paths=torch.zeros(1, dtype=torch.int64),
        nodes=nodes,
        highest=points[:, 1:-1][:, int(profile[0, 1:-1].argmax())],
        profile=profile,
    )
    state, landscape = method.init(problem), Landscape(potential, 1, 64)
    for _ in range(steps):
        state = method.step(state, landscape)
    return state


def test_the_bend_starts_at_the_highest_point_of_the_chord(surface: Any) -> None:
    state = state_after(Bypass(), surface(wall), 0)
    assert state.nodes[0, 1, 0, 0].tolist() == pytest.approx([0.4, 0.5])


def test_steps_stay_in_the_plane_orthogonal_to_the_chord(surface: Any) -> None:
    start, end = (
        torch.tensor([[[[0.1, 0.3]]]], dtype=torch.float64),
        torch.tensor([[[[0.9, 0.6]]]], dtype=torch.float64),
    )
    state = state_after(Bypass(), surface(wall), 25, start, end)
    move = state.nodes[:, 1] - state.anchors[:, 1]
    assert move.norm() > 0.02
    assert abs(dot(move, end - start).item()) < 1e-12


def test_the_plane_is_kept_even_where_the_box_is_in_the_way(surface: Any) -> None:
    start, end = (
        torch.tensor([[[[0.1, 0.9]]]], dtype=torch.float64),
        torch.tensor([[[[0.9, 0.98]]]], dtype=torch.float64),
    )
    state = state_after(Bypass(rate=0.1), surface(wall), 10, start, end)
    assert (state.nodes <= 1).all()
    assert abs(dot(state.nodes[:, 1] - state.anchors[:, 1], end - start).item()) < 1e-9


def test_a_heavy_deviation_penalty_keeps_the_bend_near_the_chord(surface: Any) -> None:
    free, held = (
        state_after(Bypass(deviation=weight, high_frequency=0.0), surface(wall), 30) for weight in (0.0, 1000.0)
    )
    assert free.nodes[0, 1, 0, 0, 1] - 0.5 > 10 * (held.nodes[0, 1, 0, 0, 1] - 0.5).abs()


def test_a_penalty_on_high_frequencies_makes_the_move_smooth() -> None:
    board = ((torch.arange(6)[:, None] + torch.arange(6)) % 2).double()[None, None]

    def bumpy(points: Tensor, paths: Tensor) -> Tensor:
        across = points.flatten(1).mean(1)
        return (1 - (points * board).flatten(1).mean(1)) * torch.exp(-((across - 0.5) ** 2) / 0.01)

    start, end = torch.full((1, 1, 6, 6), 0.2).double(), torch.full((1, 1, 6, 6), 0.8).double()
    moves = []
    for weight in (0.0, 10.0):
        method = Bypass(deviation=0.0, high_frequency=weight)
        state = state_after(method, bumpy, 30, start, end)
        moves.append((state.nodes[:, 1] - state.anchors[:, 1]).abs().mean().item())
    assert moves[1] < moves[0] / 3


def two_hills(x: Tensor, y: Tensor) -> Tensor:
    """Hills of height 1 on either side of the chord; the bend round the first leads onto the second."""
    first = torch.exp(-((x - 0.25) ** 2 + (y - 0.45) ** 2) / 0.01)
    second = torch.exp(-((x - 0.7) ** 2 + (y - 0.62) ** 2) / 0.01)
    return first + second


def test_bending_the_legs_too_passes_what_one_bend_cannot(surface: Any) -> None:
    settings = SearchSettings(budget=10**5, patience=10**5, final_resolution=100)
    barriers = [
        search_paths(
            surface(two_hills),
            torch.tensor([[[[0.0, 0.5]]]], dtype=torch.float64),
            torch.tensor([[[[1.0, 0.5]]]], dtype=torch.float64),
            Bypass(depth=depth, rate=0.03, steps_per_level=60, deviation=0.0, high_frequency=0.0),
            settings,
        ).barriers.item()
        for depth in (1, 3)
    ]
    assert barriers[0] > 0.3
    assert barriers[1] < 0.05


def test_legs_that_are_low_already_are_left_alone(surface: Any) -> None:
    """The first bend walks round the wall at once; both legs are then flat, and the second level has nothing to do."""
    tongue = surface(lambda x, y: torch.relu(0.52 - y) * torch.relu(0.0025 - (x - 0.5) ** 2))
    method = Bypass(depth=2, rate=0.2, steps_per_level=3, deviation=0.0, high_frequency=0.0)
    state = state_after(method, tongue, 6)
    assert state.level.tolist() == [2]
    assert not state.is_open.any()
    assert method.is_done(state).all()


@pytest.mark.parametrize("change", [{"depth": 0}, {"steps_per_level": 0}, {"probes": 0}])
def test_a_bypass_that_goes_nowhere_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(DetectorError, match="at least 1"):
        Bypass(**change)  # type: ignore[arg-type]


def test_the_gradient_followed_is_that_of_the_potential(surface: Any) -> None:
    """Against central differences, in double precision."""
    state = state_after(Bypass(), surface(wall), 0)
    point, width = state.nodes[0, 1, 0, 0].tolist(), 1e-6
    _, gradient = Landscape(surface(wall), 1, 8).gradients(state.nodes[0, 1:2], torch.zeros(1, dtype=torch.int64))
    for axis in range(2):
        up, down = list(point), list(point)
        up[axis] += width
        down[axis] -= width
        high, low = (wall(*torch.tensor(at, dtype=torch.float64)) for at in (up, down))
        assert gradient.flatten()[axis].item() == pytest.approx(((high - low) / (2 * width)).item(), rel=1e-7, abs=1e-8)


def test_adams_first_step_is_its_rate_whatever_the_slope(surface: Any) -> None:
    state = state_after(Bypass(rate=0.01, deviation=0.0, high_frequency=0.0), surface(wall), 1)
    assert state.nodes[0, 1, 0, 0, 1].item() == pytest.approx(0.51, abs=1e-6)
    assert math.isclose(state.nodes[0, 1, 0, 0, 0].item(), 0.4, abs_tol=1e-12)
