from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from detector.bundle import Bundle
from detector.conformal import ConformalScores
from detector.detector import Detector, JointOutputs
from detector.evaluation.adaptive.joint import Defended, Joint, Undefended, mean_objective, objective
from detector.types import LabelledImages, to_pixels


@pytest.mark.parametrize(
    ("margin", "score", "expected"),
    [(2.0, 0.0, 0.0), (-2.0, 0.0, 2.01), (2.0, 4.0, 1.01), (-2.0, 4.0, 3.02), (0.0, 3.0, 0.02)],
)
def test_the_objective_adds_what_is_missing_for_the_target_and_what_is_too_much_for_the_detector(
    margin: float, score: float, expected: float
) -> None:
    outputs = JointOutputs(logits=torch.tensor([[0.0, margin]]), scores=torch.tensor([score]))
    assert float(objective(outputs, torch.tensor([1]), 3.0)) == pytest.approx(expected)


def test_the_mean_objective_does_not_depend_on_the_chunks(linear_joint: Callable[..., Any], images: Tensor) -> None:
    joint, targets = linear_joint(threshold=0.4), torch.ones(4, dtype=torch.int64)
    means = [mean_objective(joint, images, targets, Generator(), chunk) for chunk in (1, 3, 9)]
    # Margins are −.8, −.5, −.2 and −1; every score is .1 too high; both hinges ask for .01 more.
    assert means == pytest.approx([0.625 + 0.1 + 0.02] * 3)


def test_an_undefended_classifier_is_never_flagged_and_its_score_is_flat(
    linear_joint: Callable[..., Any], images: Tensor
) -> None:
    joint = Undefended(classifier=linear_joint().classifier)
    pixels = images.requires_grad_(True)
    outputs = joint.joint(pixels, torch.ones(4, dtype=torch.int64), Generator())
    assert isinstance(joint, Joint)
    assert (outputs.scores < joint.threshold).all()
    (gradient,) = torch.autograd.grad(outputs.scores.sum(), pixels)
    assert not gradient.any()


def test_a_defended_classifier_shows_what_the_detector_makes_of_the_label(
    bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    detector = Detector(corners, bundle)
    joint = Defended(detector=detector, guides={})
    pixels = to_pixels(corner_images(12, seed=7).images)
    verdicts = detector.inspect(pixels)
    named = torch.tensor([verdict.label for verdict in verdicts])
    outputs = joint.joint(pixels, named, Generator())
    torch.testing.assert_close(outputs.scores, torch.tensor([verdict.score for verdict in verdicts]))
    flagged = [verdict.p_value is not None and verdict.p_value <= 0.05 for verdict in verdicts]
    assert (outputs.scores.double() >= joint.threshold).tolist() == flagged


def test_a_bundle_too_small_for_five_percent_is_attacked_at_its_own_rate(bundle: Bundle, corners: Any) -> None:
    small = bundle.replaced(conformal=ConformalScores.of(torch.arange(9.0)))
    detector = Detector(corners, small, false_positive_rate=0.3)
    assert Defended(detector=detector, guides={}).threshold == detector.threshold(0.3)
