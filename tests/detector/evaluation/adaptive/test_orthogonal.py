from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from detector.evaluation.adaptive.orthogonal import orthogonal, orthogonal_direction, without

TARGETS = torch.ones(4, dtype=torch.int64)


def test_a_step_for_the_target_is_orthogonal_to_the_scores_gradient(
    linear_joint: Callable[..., Any], images: Tensor
) -> None:
    joint = linear_joint(slope=(3.0, 4.0, 0.0, 0.0))
    direction, _ = orthogonal_direction(joint, images, TARGETS, Generator())
    # (−10, 0) less its part along (.6, .8) is (−6.4, 4.8), of length 8; one in the mean square over four pixels.
    torch.testing.assert_close(direction.flatten(1), torch.tensor([[-1.6, 1.2, 0, 0]]).expand(4, -1))


def test_a_step_past_the_detector_is_orthogonal_to_the_classifiers_gradient(
    linear_joint: Callable[..., Any], images: Tensor
) -> None:
    joint = linear_joint(slope=(3.0, 4.0, 0.0, 0.0))
    direction, _ = orthogonal_direction(joint, images + 0.2, TARGETS, Generator())
    torch.testing.assert_close(direction.flatten(1), torch.tensor([[0.0, 2, 0, 0]]).expand(4, -1))


def test_where_both_want_the_same_nothing_orthogonal_is_left_to_do(
    linear_joint: Callable[..., Any], images: Tensor, run_attack: Callable[..., Tensor]
) -> None:
    joint = linear_joint(weights=(3.0, 5.0, 7.0, 1.0), bias=100.0, slope=(0.3, 0.5, 0.7, 0.1))
    assert torch.equal(run_attack(orthogonal(0.1, 5), joint, images), images)


def test_a_flat_score_takes_nothing_away() -> None:
    gradients = torch.rand(3, 1, 2, 2, generator=Generator().manual_seed(0))
    assert torch.equal(without(gradients, torch.zeros_like(gradients)), gradients)


def test_the_target_is_reached_without_moving_the_score_which_then_falls(
    linear_joint: Callable[..., Any], images: Tensor, run_attack: Callable[..., Tensor]
) -> None:
    joint = linear_joint(slope=(3.0, 4.0, 0.0, 0.0))
    before = images.flatten(1) @ torch.tensor([3.0, 4.0, 0.0, 0.0])
    attacked = run_attack(orthogonal(0.2, 40), joint, images)
    after = attacked.flatten(1) @ torch.tensor([3.0, 4.0, 0.0, 0.0])
    assert (attacked[:, 0, 0, 0] > 0.5).all() and (after < before - 0.2).all()
    assert ((attacked - images).abs() <= 0.2 + 1e-6).all()
