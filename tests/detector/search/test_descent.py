import pytest
import torch

from detector.search.descent import adam_step, no_moments


def test_rows_step_as_torchs_adam_steps_each_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(3, 2, 2, generator=generator)
    moved = torch.zeros(3, 2, 2)
    reference = [torch.zeros(2, 2, requires_grad=True) for _ in range(3)]
    optimizers = [torch.optim.Adam([row], lr=0.05) for row in reference]
    moments = no_moments(moved)
    for _ in range(20):
        moments, moves = adam_step(moments, 2 * (moved - target), 0.05)
        moved = moved + moves
        for row, goal, optimizer in zip(reference, target, optimizers, strict=True):
            optimizer.zero_grad()
            (row - goal).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(moved, torch.stack([row.detach() for row in reference]), rtol=1e-4, atol=1e-6)


def test_no_gradient_gives_no_step() -> None:
    _, moves = adam_step(no_moments(torch.zeros(1, 2)), torch.zeros(1, 2), 0.1)
    assert moves.tolist() == [[0, 0]]


def test_a_row_that_joins_late_has_a_clock_of_its_own() -> None:
    first, _ = adam_step(no_moments(torch.zeros(1, 1)), torch.ones(1, 1), 0.1)
    fresh = no_moments(torch.zeros(1, 1))
    both = type(first)(
        first=torch.cat([first.first, fresh.first]),
        second=torch.cat([first.second, fresh.second]),
        n_steps=torch.cat([first.n_steps, fresh.n_steps]),
    )
    _, moves = adam_step(both, torch.ones(2, 1), 0.1)
    # A constant gradient moves every row by the rate, however long it has been there.
    assert moves.flatten().tolist() == pytest.approx([-0.1, -0.1], rel=1e-5)
