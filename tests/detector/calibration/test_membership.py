import math
from typing import Any

import pytest
import torch

from detector.calibration import membership
from detector.calibration.membership import excesses


def _logits_of(quarters: list[list[int]]) -> torch.Tensor:
    """Prototypes of 4×4 pixels, .6 in the quarter given and .4 elsewhere, as logits; shape (label, prototype, …)."""
    pixels = torch.full((len(quarters), len(quarters[0]), 1, 4, 4), 0.4)
    for label, row in enumerate(quarters):
        for place, quarter in enumerate(row):
            top, left = 2 * (quarter // 2), 2 * (quarter % 2)
            pixels[label, place, 0, top : top + 2, left : left + 2] = 0.6
    return pixels.logit()


LOGITS = _logits_of([[0, 0], [1, 2], [2, 2], [3, 0]])
# The bright quarter's logit is 40 · .2 = 8 above the others.
AT_HOME, ASTRAY = math.log(1 + 3 * math.exp(-8)), math.log(3 + math.exp(8))


@pytest.mark.parametrize(("size", "n_parts"), [(1000, 1), (3, 2), (1, 4)])
def test_only_prototypes_outside_their_class_exceed_the_allowance(
    corners: Any, monkeypatch: pytest.MonkeyPatch, size: int, n_parts: int
) -> None:
    monkeypatch.setattr(membership, "waypoints_per_pass", lambda _: size)
    parts = list(excesses(corners, LOGITS, torch.tensor([1, 3]), allowance=0.1))
    assert len(parts) == n_parts
    torch.testing.assert_close(torch.cat(parts), torch.tensor([0, ASTRAY - 0.1, 0, ASTRAY - 0.1]), atol=1e-4, rtol=0)
    assert max(corners.batches) <= size


def test_without_an_allowance_the_excess_is_the_cross_entropy(corners: Any) -> None:
    (excess,) = excesses(corners, LOGITS, torch.tensor([0]), allowance=0.0)
    torch.testing.assert_close(excess, torch.full((2,), AT_HOME), atol=1e-5, rtol=0)


def test_each_part_can_be_backpropagated_by_itself(corners: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "waypoints_per_pass", lambda _: 1)
    logits = LOGITS.clone().requires_grad_(True)
    for part in excesses(corners, logits, torch.arange(4), allowance=0.1):
        part.sum().backward()
    assert logits.grad is not None
    moved = logits.grad.flatten(2).abs().sum(2) > 0
    assert moved.tolist() == [[False, False], [False, True], [False, False], [False, True]]
