from collections.abc import Callable
from typing import Any

import torch

from detector.bundle import Bundle
from detector.conformal import ConformalScores
from detector.detector import Detector
from detector.evaluation.adaptive.guides import guides_for
from detector.types import LabelledImages


def test_guides_pass_for_their_label_unflagged(
    bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    detector = Detector(corners, bundle)
    guides = guides_for(detector, corner_images(80, seed=8), torch.tensor([2, 0, 2]))
    assert set(guides) == {0, 2}
    for label, images in guides.items():
        verdicts = detector.inspect(images)
        assert all(verdict.label == label for verdict in verdicts)
        assert all(verdict.p_value is not None and verdict.p_value > 0.05 for verdict in verdicts)
        # Eight clean images and the prototypes were tried.
        assert 1 <= len(images) <= 8 + bundle.prototypes.n_prototypes


def test_a_label_whose_images_are_all_flagged_has_no_guide(
    bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    strict = bundle.replaced(conformal=ConformalScores.of(torch.full((40,), -1e9)))
    assert guides_for(Detector(corners, strict), corner_images(20, seed=8), torch.tensor([1])) == {}
