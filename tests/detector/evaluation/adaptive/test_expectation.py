from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from detector.evaluation.adaptive.expectation import expectation, mean_gradient
from detector.evaluation.adaptive.selective import selective

TARGETS = torch.ones(4, dtype=torch.int64)


def test_for_a_score_linear_in_the_draw_the_gradient_is_that_of_the_mean_draw(
    linear_joint: Callable[..., Any], images: Tensor
) -> None:
    joint = linear_joint(noise=(0.0, 0.0, 8.0, 0.0))
    images = images + 0.2
    gradient, outputs = mean_gradient(joint, images, TARGETS, Generator().manual_seed(0), 5)
    mean = sum(joint.drawn) / 5
    assert len(set(joint.drawn)) == 5
    torch.testing.assert_close(gradient.flatten(1), torch.tensor([[0, 1, 8 * mean, 0]]).expand(4, -1))
    torch.testing.assert_close(outputs.scores, 0.7 + 8 * mean * images[:, 0, 1, 0])


@pytest.mark.parametrize("draws", [1, 3])
def test_without_anything_random_it_is_selective_pgd(
    linear_joint: Callable[..., Any], images: Tensor, run_attack: Callable[..., Tensor], draws: int
) -> None:
    joint = linear_joint(slope=(3.0, 4.0, -1.0, 0.0))
    made = [run_attack(attack, joint, images) for attack in (expectation(0.1, 9, draws), selective(0.1, 9))]
    torch.testing.assert_close(*made)
