from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from detector.evaluation.adaptive.selective import selected_gradient, selective


def test_the_gradient_is_the_classifiers_until_the_target_is_named_and_the_detectors_after(
    linear_joint: Callable[..., Any], images: Tensor
) -> None:
    images[1:3, 0, 0, 0] = 0.6
    gradient, outputs = selected_gradient(linear_joint(), images, torch.ones(4, dtype=torch.int64), Generator())
    towards_target, past_detector = [-10.0, 0, 0, 0], [0.0, 1, 0, 0]
    assert gradient.flatten(1).tolist() == [towards_target, past_detector, past_detector, towards_target]
    assert not outputs.scores.requires_grad and not outputs.logits.requires_grad


def test_two_objectives_in_different_pixels_are_both_met_as_far_as_the_ball_allows(
    linear_joint: Callable[..., Any], images: Tensor, run_attack: Callable[..., Tensor]
) -> None:
    attacked = run_attack(selective(0.09, 40), linear_joint(), images)
    assert (attacked[:3, 0, 0, 0] > 0.5).all()
    torch.testing.assert_close(attacked[:3, 0, 0, 1], torch.full((3,), 0.41))
    # Out of reach for the last one, which comes as near as it may.
    torch.testing.assert_close(attacked[3].flatten(), torch.tensor([0.49, 0.5, 0.5, 0.5]))
    assert torch.equal(attacked[:, 0, 1], images[:, 0, 1])


def test_where_the_objectives_fight_over_one_pixel_the_attack_ends_just_across_the_boundary(
    linear_joint: Callable[..., Any], images: Tensor, run_attack: Callable[..., Tensor]
) -> None:
    joint = linear_joint(slope=(1.0, 0.0, 0.0, 0.0))
    attacked = run_attack(selective(0.2, 80), joint, images)
    assert ((attacked[:, 0, 0, 0] > 0.5) & (attacked[:, 0, 0, 0] < 0.505)).all()


def test_a_step_costs_one_question(
    linear_joint: Callable[..., Any], images: Tensor, run_attack: Callable[..., Tensor]
) -> None:
    joint = linear_joint()
    run_attack(selective(0.1, 7), joint, images)
    assert joint.asked == [4] * 8
