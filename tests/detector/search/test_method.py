import dataclasses

import torch
from torch import Tensor

from detector.search.method import Problem, joined, rows_of


@dataclasses.dataclass(frozen=True)
class Inner:
    clock: Tensor


@dataclasses.dataclass(frozen=True)
class State:
    paths: Tensor
    inner: Inner


def state(*paths: int) -> State:
    numbers = torch.tensor(paths)
    return State(paths=numbers, inner=Inner(clock=10 * numbers))


def test_rows_are_taken_from_nested_states_too() -> None:
    some = rows_of(state(4, 5, 6), torch.tensor([2, 0]))
    assert (some.paths.tolist(), some.inner.clock.tolist()) == ([6, 4], [60, 40])


def test_joining_puts_the_first_before_the_second() -> None:
    both = joined(state(1, 2), state(7))
    assert (both.paths.tolist(), both.inner.clock.tolist()) == ([1, 2, 7], [10, 20, 70])


def test_the_ground_is_the_higher_end() -> None:
    images = torch.zeros(2, 1, 1, 2)
    problem = Problem(
        paths=torch.tensor([0, 1]),
        nodes=images[:, None].expand(-1, 3, -1, -1, -1),
        highest=images,
        profile=torch.tensor([[1.0, 9.0, 2.0], [3.0, 0.0, -1.0]]),
    )
    assert problem.ground.tolist() == [2.0, 3.0]
