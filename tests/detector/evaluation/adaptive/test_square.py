from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from detector.evaluation.adaptive.joint import Undefended, objective
from detector.evaluation.adaptive.square import covered, square


def _losses(joint: Any, images: Tensor) -> Tensor:
    targets = torch.ones(len(images), dtype=torch.int64)
    return objective(joint.joint(images, targets, Generator()), targets, joint.threshold)


def test_every_image_ends_where_both_objectives_are_met(
    linear_joint: Callable[..., Any], images: Tensor, run_attack: Callable[..., Tensor]
) -> None:
    joint = linear_joint(threshold=0.45)
    attacked = run_attack(square(0.15, 100), joint, images)
    assert (_losses(joint, attacked) == 0).all()
    assert (attacked[:, 0, 0, 0] > 0.5).all() and (attacked[:, 0, 0, 1] < 0.45).all()


def test_more_questions_never_raise_the_objective_and_keep_to_the_corners_of_the_ball(
    linear_joint: Callable[..., Any], run_attack: Callable[..., Tensor]
) -> None:
    images = torch.rand(8, 1, 2, 2, generator=Generator().manual_seed(1))
    joint = linear_joint(weights=(1.0, 2.0, -3.0, 1.0), bias=9.0, threshold=-9.0)
    first, last = (run_attack(square(0.1, queries), joint, images) for queries in (2, 60))
    before, after = _losses(joint, first), _losses(joint, last)
    assert (after <= before + 1e-6).all() and after.mean() < before.mean() - 0.1
    # Out of reach, the best is known: +.1 and −.1 by the signs of 1·x₀ + (2 − 1)·x₁ − 3·x₂ + 1·x₃.
    best = (images + 0.1 * torch.tensor([1.0, 1, -1, 1]).view(1, 1, 2, 2)).clamp(0, 1)
    torch.testing.assert_close(last, best)


def test_it_takes_no_gradient(
    linear_joint: Callable[..., Any], images: Tensor, run_attack: Callable[..., Tensor]
) -> None:
    joint = linear_joint(threshold=-9.0)
    joint_of = joint.joint

    def watched(*arguments: Any) -> Any:
        assert not torch.is_grad_enabled()
        return joint_of(*arguments)

    joint.joint = watched
    run_attack(square(0.1, 5), joint, images)
    assert joint.asked == [4] * 5


def test_no_more_is_asked_about_images_that_pass(
    linear_joint: Callable[..., Any], images: Tensor, run_attack: Callable[..., Tensor]
) -> None:
    joint = linear_joint(threshold=9.0)
    attacked = run_attack(square(0.09, 60), joint, images)
    # The last image cannot reach its target.
    assert (attacked[:3, 0, 0, 0] > 0.5).all() and joint.asked[-1] == 1 and len(joint.asked) == 60


@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (1, 1, 1, 7)])
def test_the_same_seed_asks_the_same_questions_whatever_the_shape(shape: tuple[int, ...], toy: Any) -> None:
    images = torch.rand(shape, generator=Generator().manual_seed(2))

    def logits(pixels: Tensor) -> Tensor:
        mean = pixels.flatten(1).mean(1)
        return torch.stack([0 * mean, mean - 2], 1)

    means = toy(logits, n_labels=2, input_shape=shape[1:])
    joint, labels = Undefended(classifier=means), torch.zeros(shape[0], dtype=torch.int64)
    made = [square(0.1, 20)(joint, images, labels, labels + 1, Generator().manual_seed(seed)) for seed in (3, 3, 4)]
    assert torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])
    assert ((made[0] - images).abs() <= 0.1 + 1e-6).all()


def test_squares_shrink_by_halves_as_the_budget_is_spent() -> None:
    assert [covered(spent) for spent in (0.0, 0.003, 0.3, 1.0)] == [0.8, 0.4, 0.8 / 2**6, 0.8 / 2**9]
