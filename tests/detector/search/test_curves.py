from typing import Any

import pytest
import torch
from torch import Tensor

from detector.search import SearchSettings, search_paths
from detector.search.curves import bezier, polygonal_chain
from detector.search.landscape import Landscape
from detector.search.method import Problem
from detector.types import DetectorError

START, END = torch.tensor([[[[0.1, 0.5]]]], dtype=torch.float64), torch.tensor([[[[0.9, 0.5]]]], dtype=torch.float64)


def state_of(method: Any, bend: tuple[float, float]) -> Any:
    nodes = torch.cat([START, END])[None]
    state = method.init(
        Problem(
            paths=torch.zeros(1, dtype=torch.int64),
            nodes=nodes,
            highest=nodes[:, 0],
            profile=torch.zeros(1, 2).double(),
        )
    )
    state.controls[:, 1] = torch.tensor(bend, dtype=torch.float64).view(1, 1, 1, 2)
    return state


def test_a_quadratic_bezier_curve_passes_halfway_between_chord_and_bend() -> None:
    method = bezier(n_nodes=5)
    nodes = method.nodes(state_of(method, (0.5, 0.9)))
    assert nodes[0, 2, 0, 0].tolist() == pytest.approx([0.5, 0.7])
    # At t = ¼ the weights are 9/16, 6/16 and 1/16.
    assert nodes[0, 1, 0, 0].tolist() == pytest.approx([(9 * 0.1 + 6 * 0.5 + 0.9) / 16, (10 * 0.5 + 6 * 0.9) / 16])


def test_a_chain_with_one_bend_is_two_straight_pieces() -> None:
    method = polygonal_chain(n_bends=1)
    weights = method.weights(torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]))
    assert weights.tolist() == [[1, 0, 0], [0.5, 0.5, 0], [0, 1, 0], [0, 0.5, 0.5], [0, 0, 1]]


def test_the_expected_loss_of_a_linear_potential_pulls_each_bend_by_its_mean_weight(surface: Any) -> None:
    """With potential y every sample's gradient is (0, 1); the hat of a single bend has mean ½ over t."""
    method = polygonal_chain(n_bends=1, samples=64)
    state = method.step(state_of(method, (0.5, 0.5)), Landscape(surface(lambda x, y: y + 0 * x), 1, 1000))
    # First moments are a tenth of the gradient.
    assert (state.moments.first[0, 0, 0, 0] * 10).tolist() == pytest.approx([0, 0.5], abs=0.01)


@pytest.mark.parametrize("method", [polygonal_chain(3, steps=300), bezier(steps=300)], ids=["chain", "bezier"])
def test_a_curve_settles_in_a_curved_valley(method: Any, surface: Any) -> None:
    """A valley along a parabola through both ends, 0.3 up in the middle, which a quadratic Bézier curve can follow."""
    valley = surface(lambda x, y: 40 * (y - 0.5 - 0.3 * (1 - ((x - 0.5) / 0.4) ** 2)) ** 2)
    settings = SearchSettings(budget=10**5, patience=10**5)
    found = search_paths(valley, START, END, method, settings)
    assert found.straight_barriers.item() == pytest.approx(40 * 0.3**2, rel=1e-6)
    assert found.barriers.item() < 0.15


def test_positions_differ_from_step_to_step_and_fill_the_unit_interval(surface: Any) -> None:
    seen: list[Tensor] = []

    def along(x: Tensor, y: Tensor) -> Tensor:
        seen.append(((x - 0.1) / 0.8).detach())
        return 0 * y + 0 * x

    method = polygonal_chain(n_bends=1, samples=4)
    state, landscape = state_of(method, (0.5, 0.5)), Landscape(surface(along), 1, 100)
    for _ in range(25):
        state = method.step(state, landscape)
    positions = torch.cat(seen).sort().values
    assert len(positions) == 100
    assert positions.diff().max() < 0.03


@pytest.mark.parametrize("make", [lambda: polygonal_chain(0), lambda: bezier(samples=0), lambda: bezier(n_nodes=2)])
def test_a_curve_that_cannot_be_trained_is_refused(make: Any) -> None:
    with pytest.raises(DetectorError, match="cannot be trained"):
        make()
