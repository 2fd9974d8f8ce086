from typing import Any

import pytest
import torch
from torch import Tensor

from detector import passes
from detector.passes import CACHED_PIXELS, points_per_forward
from detector.pooled_outputs import PooledOutputs, pooled_outputs

CPU = torch.device("cpu")


@pytest.fixture
def mapped(toy: Any) -> Any:
    """Images of two pixels; as representation a map of two channels: the pixels, and twice as much."""

    def stacked(pixels: Tensor) -> Tensor:
        return torch.cat([pixels, 2 * pixels], 1)

    return toy(lambda pixels: pixels.flatten(1), n_labels=2, input_shape=(1, 1, 2), representations={"map": stacked})


def test_one_call_takes_what_caches_hold_on_a_cpu_and_everything_on_a_gpu() -> None:
    per_thread = CACHED_PIXELS // 32**2
    assert points_per_forward((3, 32, 32), CPU) == per_thread * torch.get_num_threads() == 128
    assert points_per_forward((3, 224, 224), CPU) == 2
    assert points_per_forward((3, 32, 32), torch.device("cuda")) is None


@pytest.mark.parametrize(("n_points", "sizes"), [(1, [1]), (4, [4]), (5, [3, 2]), (11, [4, 4, 3]), (0, [0])])
def test_points_are_cut_into_calls_of_like_size_none_above_the_limit(
    mapped: Any, monkeypatch: pytest.MonkeyPatch, n_points: int, sizes: list[int]
) -> None:
    monkeypatch.setattr(passes, "CACHED_PIXELS", 8)
    points = torch.rand(n_points, 1, 1, 2, generator=torch.Generator().manual_seed(0))
    found = pooled_outputs(mapped, points)
    assert mapped.batches == sizes
    assert torch.equal(found.logits, points.flatten(1))


def test_calls_of_any_size_give_the_same_and_no_map_is_kept(mapped: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    points = torch.rand(7, 1, 1, 2, generator=torch.Generator().manual_seed(0))
    whole = pooled_outputs(mapped, points)
    monkeypatch.setattr(passes, "CACHED_PIXELS", 2)
    cut = pooled_outputs(mapped, points)
    assert mapped.batches[1:] == [1] * 7
    torch.testing.assert_close(cut.representations["map"], whole.representations["map"])
    # Means and deviations of two channels.
    assert cut.representations["map"].shape == (7, 4)


def test_gradients_reach_points_of_every_call(mapped: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "CACHED_PIXELS", 2)
    points = torch.rand(3, 1, 1, 2, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    pooled_outputs(mapped, points).representations["map"][:, :2].sum().backward()
    # The mean of a pixel counts half, and once more doubled.
    assert points.grad is not None
    torch.testing.assert_close(points.grad, torch.full_like(points, 1.5))


def test_what_is_pooled_already_stays_as_it_is(mapped: Any) -> None:
    once = PooledOutputs.of(mapped(torch.rand(2, 1, 1, 2)))
    assert torch.equal(PooledOutputs.of(once).representations["map"], once.representations["map"])
