import pytest
import torch
from torch import Tensor

from detector.search.fire import FireSettings, fire_step, no_motion


def nodes(*rows: float) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64).view(-1, 1, 1, 1, 1)


SETTINGS = FireSettings(first_step=0.1, longest_move=100.0)


def test_from_rest_a_path_moves_by_its_time_step_squared_times_the_force() -> None:
    motion, move = fire_step(no_motion(nodes(0.0), SETTINGS), nodes(3.0), SETTINGS)
    assert move.item() == pytest.approx(0.1**2 * 3)
    assert motion.velocity.item() == pytest.approx(0.1 * 3)
    assert motion.time_step.item() == 0.1


def test_running_uphill_stops_the_path_and_halves_its_time_step() -> None:
    motion, _ = fire_step(no_motion(nodes(0.0), SETTINGS), nodes(3.0), SETTINGS)
    turned, move = fire_step(motion, nodes(-1.0), SETTINGS)
    assert turned.time_step.item() == pytest.approx(0.05)
    # Nothing is left of the old velocity; only the new force moves it.
    assert move.item() == pytest.approx(-(0.05**2))


def test_running_downhill_for_long_makes_the_steps_longer_up_to_the_largest() -> None:
    settings = FireSettings(first_step=0.1, largest_step=0.13, longest_move=100.0, wait=2)
    motion = no_motion(nodes(0.0), settings)
    steps = []
    for _ in range(8):
        motion, _ = fire_step(motion, nodes(1.0), settings)
        steps.append(motion.time_step.item())
    assert steps[3] == pytest.approx(0.1)
    assert steps[4] == pytest.approx(0.11)
    assert steps[-1] == pytest.approx(0.13)


def test_no_path_moves_farther_than_allowed() -> None:
    settings = FireSettings(first_step=1.0, longest_move=0.2)
    _, move = fire_step(no_motion(nodes(0.0, 0.0), settings), nodes(50.0, -0.1), settings)
    assert move.flatten().tolist() == pytest.approx([0.2, -0.1])


def test_every_path_has_a_clock_of_its_own() -> None:
    both = no_motion(nodes(0.0, 0.0), SETTINGS)
    for forces in ((1.0, 1.0), (1.0, -1.0), (1.0, -1.0)):
        both, moves = fire_step(both, nodes(*forces), SETTINGS)
    alone = no_motion(nodes(0.0), SETTINGS)
    for force in (1.0, -1.0, -1.0):
        alone, move = fire_step(alone, nodes(force), SETTINGS)
    assert torch.equal(moves[1:], move)
    assert both.time_step.tolist() == [pytest.approx(0.1), pytest.approx(0.05)]
