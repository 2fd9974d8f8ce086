from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from detector.evaluation.adaptive.matching import feature_matching, logit_matching


def _guide(*first_pixels: float) -> Tensor:
    guides = torch.full((len(first_pixels), 1, 2, 2), 0.3)
    guides[:, 0, 0, 0] = torch.tensor(first_pixels)
    return guides


def test_matched_logits_are_those_of_the_nearest_guide(
    linear_joint: Callable[..., Any], images: Tensor, run_attack: Callable[..., Tensor]
) -> None:
    joint = linear_joint(guides={1: _guide(0.9, 0.55, 0.99)}, slope=(-1.0, 0.0, 0.0, 0.0))
    attacked = run_attack(logit_matching(0.2, 60), joint, images)
    # The logits see the first pixel alone; the best iterate has the lowest score, a step beyond the guide's .55.
    assert ((attacked[:, 0, 0, 0] > 0.545) & (attacked[:, 0, 0, 0] < 0.6)).all()
    assert torch.equal(attacked[:, 0, 1], images[:, 0, 1])


def test_matched_features_are_those_of_the_guide_in_every_block(
    linear_joint: Callable[..., Any], images: Tensor, run_attack: Callable[..., Tensor]
) -> None:
    joint = linear_joint(guides={1: _guide(0.55)}, slope=(0.0, 1.0, 1.0, 1.0))
    joint.classifier.representations = {
        "first": lambda pixels: pixels.flatten(1)[:, :2],
        "second": lambda pixels: 1000 * pixels.flatten(1)[:, 2:],
    }
    attacked = run_attack(feature_matching(0.3, 60), joint, images)
    expected = torch.tensor([0.55, 0.3, 0.3, 0.3]).expand(4, -1)
    # The best iterate has the lowest score: that of a step beyond the guide.
    torch.testing.assert_close(attacked.flatten(1), expected, atol=0.05, rtol=0)


def test_a_target_that_nothing_passes_for_is_not_aimed_at(
    linear_joint: Callable[..., Any], images: Tensor, run_attack: Callable[..., Tensor]
) -> None:
    joint = linear_joint(guides={0: _guide(0.2)})
    for attack in (logit_matching(0.2, 5), feature_matching(0.2, 5)):
        assert torch.equal(run_attack(attack, joint, images), images)


def test_the_score_is_never_differentiated(
    linear_joint: Callable[..., Any], images: Tensor, run_attack: Callable[..., Tensor]
) -> None:
    joint = linear_joint(guides={1: _guide(0.55)})
    asked, joint_of = [], joint.joint

    def watched(*arguments: Any) -> Any:
        asked.append(torch.is_grad_enabled())
        return joint_of(*arguments)

    joint.joint = watched
    run_attack(logit_matching(0.2, 3), joint, images)
    assert asked == [False] * 4
