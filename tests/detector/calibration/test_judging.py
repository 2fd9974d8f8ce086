import dataclasses
from collections.abc import Callable

import torch

from detector.bundle import Bundle
from detector.calibration import CalibrationSettings
from detector.calibration.adaptive import AdaptiveSettings


def test_rounds_of_adaptive_proxies_leave_prototypes_alone_and_change_the_head(
    calibrated: Callable[..., Bundle], bundle: Bundle, tiny_settings: CalibrationSettings
) -> None:
    adaptive = AdaptiveSettings(
        rounds=2, batches=2, sources=20, steps=3, smallest_radius=0.05, largest_radius=0.3, copies=2
    )
    met = calibrated(dataclasses.replace(tiny_settings, adaptive=adaptive))
    assert torch.equal(met.prototypes.images, bundle.prototypes.images)
    assert not torch.equal(met.conformal.scores, bundle.conformal.scores)
    found = [met.record.measured[f"adaptive_proxies_in_round_{number}"] for number in (1, 2)]
    assert all(0 < number <= 40 for number in found)


def test_what_the_suspected_label_rests_on_does_not_know_adaptive_proxies(
    calibrated: Callable[..., Bundle], bundle: Bundle, tiny_settings: CalibrationSettings
) -> None:
    adaptive = AdaptiveSettings(rounds=1, batches=1, sources=8, steps=2)
    met = calibrated(dataclasses.replace(tiny_settings, adaptive=adaptive))
    assert torch.equal(met.claim_weights, bundle.claim_weights)
