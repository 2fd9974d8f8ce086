from collections.abc import Callable
from typing import Any

import pytest
import torch

from detector.bundle import Bundle
from detector.detector import Detector
from detector.evaluation.tracing import N_POINTS, trace
from detector.types import LabelledImages, to_pixels


def test_a_trace_follows_the_path_from_the_image_to_its_prototype(
    bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    detector, images = Detector(corners, bundle), to_pixels(corner_images(3, seed=9).images)
    verdicts = detector.inspect(images)
    labels = torch.tensor([verdict.label for verdict in verdicts])
    prototypes = torch.tensor([verdict.prototype for verdict in verdicts])
    found = trace(detector, images, labels, prototypes)
    assert found.mixing.tolist() == pytest.approx([index / (N_POINTS - 1) for index in range(N_POINTS)])
    assert torch.equal(found.waypoints[:, 0], images)
    assert torch.equal(found.waypoints[:, -1], bundle.prototypes.pixels()[labels, prototypes])
    assert list(found.potentials) == ["cross-entropy, nats", "margin, logits", "distance of means, log"]
    for row, verdict in enumerate(verdicts):
        profile = found.potentials["cross-entropy, nats"][row]
        assert profile[0].item() == pytest.approx(verdict.profile[0], abs=1e-5)
        assert profile[-1].item() == pytest.approx(verdict.profile[-1], abs=1e-5)
        assert found.potentials["margin, logits"][row, 0] >= 0
