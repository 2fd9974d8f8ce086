import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from detector.bundle import Bundle
from detector.calibration import CalibrationSettings, Provenance
from detector.detector import Detector
from detector.escalation import EscalationSettings
from detector.search import MethodName
from detector.types import BundleError, CalibrationError, LabelledImages, to_pixels

NAMED = Provenance(classifier="corners", preprocessing={"height": 4}, auxiliary="coarse")


@pytest.fixture
def coarse(toy: Any, corners: Any) -> Any:
    """Has the labels of `corners`, a tenth of its confidence, and looks at brightness only."""
    return toy(lambda pixels: 0.1 * corners.logits(pixels), n_labels=4, input_shape=(1, 4, 4), name="coarse")


_WATCHED: list[Bundle] = []


@pytest.fixture
def watched(calibrated: Callable[..., Bundle], coarse: Any, tiny_settings: CalibrationSettings) -> Bundle:
    """The same bundle for every test; none may change it."""
    if not _WATCHED:
        settings = dataclasses.replace(tiny_settings, auxiliary_prototypes=1)
        _WATCHED.append(calibrated(settings, auxiliary=coarse, provenance=NAMED))
        coarse.batches.clear()
    return _WATCHED[0]


@pytest.fixture
def images(corner_images: Callable[..., LabelledImages]) -> torch.Tensor:
    return to_pixels(corner_images(12, seed=8).images)


def test_an_auxiliary_adds_its_own_features_and_their_cost(bundle: Bundle, watched: Bundle) -> None:
    # Two blocks (its representation and the logits): 8 numbers at the image, 9 at each of two waypoints of one path.
    assert watched.record.n_features == bundle.record.n_features + 8 + 2 * 9
    assert watched.forward_equivalents == bundle.forward_equivalents + 1 + 1 * 2


def test_looking_at_the_image_alone_costs_one_pass(
    calibrated: Callable[..., Bundle], bundle: Bundle, coarse: Any, tiny_settings: CalibrationSettings
) -> None:
    found = calibrated(tiny_settings, auxiliary=coarse, provenance=NAMED)
    assert found.record.n_features == bundle.record.n_features + 8
    assert found.forward_equivalents == bundle.forward_equivalents + 1


def test_it_is_asked_about_the_label_that_the_guarded_classifier_names(
    watched: Bundle, corners: Any, coarse: Any, images: torch.Tensor
) -> None:
    features = Detector(corners, watched, auxiliary=coarse).measure(images).paths.features
    labels = corners(images).logits.argmax(1)
    own = coarse(images).logits.gather(1, labels[:, None])[:, 0]
    # The top logit is the seventh of the eight numbers at the image, and here it is the named label's.
    assert torch.allclose(features[:, -26 + 6], own)


def test_prototypes_and_verdicts_need_no_auxiliary_in_learning(bundle: Bundle, watched: Bundle) -> None:
    assert torch.equal(bundle.prototypes.images, watched.prototypes.images)


def test_the_bundle_comes_back_from_disk_with_it(
    watched: Bundle, corners: Any, coarse: Any, images: torch.Tensor, tmp_path: Path
) -> None:
    watched.save(tmp_path / "bundle")
    read = Bundle.load(tmp_path / "bundle")
    assert read.record.auxiliary is not None
    assert read.record.auxiliary.classifier == "coarse"
    first, again = (Detector(corners, one, auxiliary=coarse).inspect(images) for one in (watched, read))
    assert first == again


def test_none_or_another_is_refused(watched: Bundle, bundle: Bundle, corners: Any, coarse: Any) -> None:
    with pytest.raises(BundleError, match=r"calibrated with the auxiliary classifier coarse.*none was given"):
        Detector(corners, watched)
    with pytest.raises(BundleError, match="one with digest"):
        Detector(corners, watched, auxiliary=corners)
    with pytest.raises(BundleError, match="without an auxiliary"):
        Detector(corners, bundle, auxiliary=coarse)


def test_other_labels_or_a_second_opinion_beside_it_are_refused(
    calibrated: Callable[..., Bundle], radial: Any, coarse: Any, tiny_settings: CalibrationSettings
) -> None:
    with pytest.raises(CalibrationError, match="same input and labels"):
        calibrated(auxiliary=radial)
    both = dataclasses.replace(tiny_settings, escalation=EscalationSettings(method=MethodName.BYPASS))
    with pytest.raises(CalibrationError, match="cannot be had together"):
        calibrated(both, auxiliary=coarse)


def test_joint_outputs_are_what_inspect_scores_and_carry_gradients_to_the_pixels(
    watched: Bundle, corners: Any, coarse: Any, images: torch.Tensor
) -> None:
    detector = Detector(corners, watched, auxiliary=coarse)
    pixels = images.clone().requires_grad_(True)
    found = detector.joint(pixels, corners(images).logits.argmax(1))
    assert found.scores.tolist() == pytest.approx([verdict.score for verdict in detector.inspect(images)], abs=1e-4)
    (gradient,) = torch.autograd.grad(found.scores.sum(), pixels)
    assert gradient.abs().sum() > 0


def test_prototypes_of_another_bundle_are_taken_over(
    calibrated: Callable[..., Bundle],
    bundle: Bundle,
    tiny_settings: CalibrationSettings,
    corner_images: Callable[..., LabelledImages],
) -> None:
    other = calibrated(dataclasses.replace(tiny_settings, seed=4), start=bundle, held_out=corner_images(200, seed=6))
    assert torch.equal(other.prototypes.images, bundle.prototypes.images)
    assert torch.equal(other.mixing, bundle.mixing)
    seen = {bytes(row) for row in other.used_images.tolist()}
    assert {bytes(row) for row in bundle.used_images.tolist()} < seen


def test_the_threshold_is_the_lowest_flagged_score(bundle: Bundle) -> None:
    conformal = bundle.conformal
    limit = torch.tensor([conformal.threshold(0.05)], dtype=torch.float64)
    assert conformal.p_values(limit) <= 0.05
    assert conformal.p_values(torch.nextafter(limit, torch.tensor(-torch.inf, dtype=torch.float64))) > 0.05
