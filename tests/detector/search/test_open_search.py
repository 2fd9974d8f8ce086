import random
from typing import Any

import pytest
import torch
from torch import Tensor

from detector.search import MethodName, OpenSearch, SearchSettings, method_named, search_paths
from detector.search.found import FoundPaths

N_PATHS, N_NUMBERS = 16, 7
GENERATOR = torch.Generator().manual_seed(2)
STARTS = torch.rand(N_PATHS, 1, 1, 2, dtype=torch.float64, generator=GENERATOR) * torch.tensor([0.3, 0.8])
ENDS = 1 - torch.rand(N_PATHS, 1, 1, 2, dtype=torch.float64, generator=GENERATOR) * torch.tensor([0.3, 0.8])
SETTINGS = SearchSettings(paths_at_once=4, budget=150, check_every=2, resolution=8)


def bumpy(points: Tensor, _paths: Tensor) -> Tensor:
    """A ridge between starts and ends, which none of the straight paths goes round."""
    x, y = points[:, 0, 0, 0], points[:, 0, 0, 1]
    return (1.2 - y) * torch.exp(-((x - 0.5) ** 2) / 0.02) + 0.05 * torch.sin(23 * x) * torch.sin(31 * y)


class Lent:
    """Paths that come to a search under whatever number is free."""

    def __init__(self, search: OpenSearch, n_nodes: int) -> None:
        self.search = search
        self.found = FoundPaths(N_PATHS, STARTS, n_nodes, SETTINGS.final_resolution + 1)
        self.numbers = list(range(N_NUMBERS))
        self.path_of: dict[int, int] = {}

    def begin(self, paths: list[int]) -> None:
        numbers = [self.numbers.pop() for _ in paths]
        self.path_of |= dict(zip(numbers, paths, strict=True))
        self.write(self.search.begin(torch.tensor(numbers), STARTS[paths], ENDS[paths]))

    def step(self) -> None:
        self.write(self.search.step())

    def drop(self, number: int) -> int:
        self.search.drop(torch.tensor([number]))
        self.numbers.insert(0, number)
        return self.path_of.pop(number)

    def write(self, ended: Any) -> None:
        for part in ended:
            numbers = part.paths.tolist()
            part.paths.copy_(torch.tensor([self.path_of.pop(number) for number in numbers]))
            self.found.write([part])
            self.numbers = numbers + self.numbers


def open_search(potential: Any, method: Any, settings: SearchSettings = SETTINGS) -> OpenSearch:
    return OpenSearch(potential, method, settings, N_NUMBERS, (1, 1, 2))


@pytest.mark.parametrize("name", MethodName)
@pytest.mark.parametrize("seed", range(3))
def test_paths_that_come_and_go_are_found_as_in_one_search(name: MethodName, seed: int) -> None:
    """Some are dropped on the way and begun anew under another number."""
    method, chance = method_named(name), random.Random(seed)
    lent, waiting, n_dropped = Lent(open_search(bumpy, method), method.n_nodes), list(range(N_PATHS)), 0
    chance.shuffle(waiting)
    while waiting or lent.search.n_open:
        n_taken = min(chance.randint(0, 2), lent.search.n_free, len(waiting), len(lent.numbers))
        if n_taken:
            taken, waiting = waiting[:n_taken], waiting[n_taken:]
            lent.begin(taken)
        if lent.path_of and n_dropped < 8 and chance.random() < 0.2:
            waiting.append(lent.drop(chance.choice(list(lent.path_of))))
            n_dropped += 1
        lent.step()
    found, expected = lent.found.all(), search_paths(bumpy, STARTS, ENDS, method, SETTINGS)
    assert n_dropped
    assert found.outcomes == expected.outcomes
    for column in ("nodes", "profiles", "barriers", "straight_barriers", "n_steps", "forward_equivalents"):
        assert torch.equal(getattr(found, column), getattr(expected, column)), column


def test_a_dropped_path_is_not_looked_at_again() -> None:
    seen: set[int] = set()

    def watched(points: Tensor, paths: Tensor) -> Tensor:
        seen.update(paths.tolist())
        return bumpy(points, paths)

    search = open_search(watched, method_named(MethodName.CHAIN))
    search.begin(torch.tensor([5, 2, 6]), STARTS[:3], ENDS[:3])
    assert seen == {2, 5, 6}
    search.drop(torch.tensor([2, 0]))
    assert (search.n_open, search.n_free) == (2, 2)
    seen.clear()
    search.step()
    assert seen == {5, 6}
    search.drop(torch.tensor([5, 6]))
    seen.clear()
    assert search.step() == []
    assert seen == set()


def test_a_step_that_fails_can_be_made_again() -> None:
    method, settings = method_named(MethodName.BYPASS), SearchSettings(budget=150, check_every=1)
    expected = search_paths(bumpy, STARTS[:3], ENDS[:3], method, settings)
    n_calls, n_failed = 0, 0

    def sometimes_fails(points: Tensor, paths: Tensor) -> Tensor:
        nonlocal n_calls
        n_calls += 1
        if n_calls in (2, 4, 7, 11, 16):
            raise MemoryError
        return bumpy(points, paths)

    search = open_search(sometimes_fails, method, settings)
    found = FoundPaths(3, STARTS, method.n_nodes, settings.final_resolution + 1)
    found.write(search.begin(torch.arange(3), STARTS[:3], ENDS[:3]))
    while search.n_open:
        try:
            found.write(search.step())
        except MemoryError:
            n_failed += 1
    assert n_failed > 2
    assert torch.equal(found.all().forward_equivalents, expected.forward_equivalents)
    assert torch.equal(found.all().nodes, expected.nodes)


def test_more_paths_than_slots_are_refused() -> None:
    search = open_search(bumpy, method_named(MethodName.BYPASS))
    with pytest.raises(ValueError, match="5 paths were to be begun and 4 slots are free"):
        search.begin(torch.arange(5), STARTS[:5], ENDS[:5])
    assert search.n_open == 0
