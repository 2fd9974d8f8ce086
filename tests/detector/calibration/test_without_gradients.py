"""Calibration of a classifier that gives logits and nothing else."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from detector.bundle import Bundle
from detector.bundle_record import HeadKind, ProxySource
from detector.calibration import CalibrationSettings
from detector.calibration.black_box import BlackBoxSettings
from detector.calibration.fitting import FittingSettings
from detector.detector import Detector
from detector.evaluation.metrics import auroc
from detector.joined import Joined
from detector.prototypes.prototype_set import PrototypeKind
from detector.types import CalibrationError, LabelledImages, to_pixels
from detector.typicality import Typicality
from detector.verdict import Outcome

BLACK_BOX = BlackBoxSettings(smallest_radius=0.05, largest_radius=0.2, queries=24)


@pytest.fixture
def detached(corners: Any) -> Any:
    """`corners`, whose graph is cut before the logits and all representations."""
    smooth = corners.logits
    corners.logits = lambda pixels: smooth(pixels).detach()
    corners.representations = {
        name: lambda pixels, part=part: part(pixels).detach() for name, part in corners.representations.items()
    }
    return corners


def _without(settings: CalibrationSettings, proxies: BlackBoxSettings | None) -> CalibrationSettings:
    return dataclasses.replace(
        settings,
        stream=dataclasses.replace(settings.stream, proxies=proxies),
        prototype_kind=PrototypeKind.REAL,
        fitting=FittingSettings(batches=4, epochs=30),
    )


def _quarter(images: torch.Tensor, number: int) -> torch.Tensor:
    row, column = 2 * (number // 2), 2 * (number % 2)
    return images[..., row : row + 2, column : column + 2]


def _attacked(clean: LabelledImages) -> torch.Tensor:
    """The brightest quarter dimmed by a fifth, and the next brightened as much."""
    images = to_pixels(clean.images)
    for image, label in zip(images, clean.labels.tolist(), strict=True):
        _quarter(image, label).sub_(0.2)
        _quarter(image, (label + 1) % 4).add_(0.2)
    return images.clamp(0, 1)


def test_a_classifier_without_gradients_is_refused_in_words_unless_none_are_needed(
    calibrated: Callable[..., Bundle], detached: Any
) -> None:
    with pytest.raises(CalibrationError, match=r"no gradient .* learned prototypes and confidence-matched proxies"):
        calibrated(classifier=detached)


@pytest.mark.parametrize("proxies", [BLACK_BOX, None], ids=["black box", "clean only"])
def test_a_classifier_without_gradients_is_calibrated_and_guarded(
    calibrated: Callable[..., Bundle],
    detached: Any,
    tiny_settings: CalibrationSettings,
    corner_images: Callable[..., LabelledImages],
    tmp_path: Path,
    proxies: BlackBoxSettings | None,
) -> None:
    settings = _without(tiny_settings, proxies)
    made, again = calibrated(settings, detached), calibrated(settings, detached)
    assert all(torch.equal(tensor, again._tensors()[name]) for name, tensor in made._tensors().items())
    made.save(tmp_path / "bundle")
    detector = Detector(detached, Bundle.load(tmp_path / "bundle"))
    clean = corner_images(100, seed=9)
    attacked = _attacked(clean)
    assert (detached(attacked).logits.argmax(1) != clean.labels).all()
    scores = [detector.measure(images).scores.double().numpy() for images in (to_pixels(clean.images), attacked)]
    assert auroc(*scores) > 0.7
    assert all(verdict.outcome is Outcome.DECIDED for verdict in detector.inspect(attacked))


def test_the_record_says_how_it_was_calibrated(
    calibrated: Callable[..., Bundle], bundle: Bundle, tiny_settings: CalibrationSettings
) -> None:
    black_box, clean_only = (calibrated(_without(tiny_settings, proxies)) for proxies in (BLACK_BOX, None))
    found = [(made.record.proxies, made.record.head) for made in (bundle, black_box, clean_only)]
    assert found == [
        (ProxySource.GRADIENT, HeadKind.LEARNED),
        (ProxySource.BLACK_BOX, HeadKind.JOINED),
        (ProxySource.NONE, HeadKind.TYPICALITY),
    ]
    measured = black_box.record.measured
    assert 0 < measured["proxies_succeeded"] <= 1
    assert 8 < measured["queries_per_image"] <= 24
    # Four batches of forty images each.
    assert measured["proxy_queries"] == pytest.approx(160 * measured["queries_per_image"])
    assert "proxies_flagged_at_0.05" in measured
    assert isinstance(black_box.head, Joined)
    assert 0 < measured["validation_loss"] < 2
    assert isinstance(clean_only.head, Typicality)
    # Four batches of twenty images, less those whose label noise has changed.
    assert 60 < clean_only.record.measured["typical_images"] <= 80
    assert not any("proxies" in name for name in clean_only.record.measured)


def _as_sure_as(boost: float, n_images: int, seed: int) -> LabelledImages:
    """Noise of 10 % with one quarter brighter by this much, which is a margin of about 40 times as many logits."""
    labels = torch.arange(n_images) % 4
    pixels = 0.3 + 0.1 * torch.rand(n_images, 1, 4, 4, generator=torch.Generator().manual_seed(seed))
    for image, label in zip(pixels, labels.tolist(), strict=True):
        _quarter(image, label).add_(boost)
    return LabelledImages(images=(pixels * 255).round().to(torch.uint8), labels=labels)


def test_far_too_sure_and_far_too_unsure_images_are_both_flagged_from_clean_images_alone(
    calibrated: Callable[..., Bundle], corners: Any, tiny_settings: CalibrationSettings
) -> None:
    made = calibrated(
        _without(tiny_settings, None), references=_as_sure_as(0.2, 60, 1), held_out=_as_sure_as(0.2, 240, 2)
    )
    detector = Detector(corners, made)
    flagged = [
        sum(verdict.p_value <= 0.05 for verdict in detector.inspect(to_pixels(_as_sure_as(boost, 40, 3).images))) / 40
        for boost in (0.0, 0.2, 0.5)
    ]
    too_unsure, usual, too_sure = flagged
    assert usual <= 0.2
    assert min(too_unsure, too_sure) > 0.7


def test_few_clean_images_are_enough_for_a_bundle(
    calibrated: Callable[..., Bundle],
    corners: Any,
    corner_images: Callable[..., LabelledImages],
    tiny_settings: CalibrationSettings,
) -> None:
    settings = dataclasses.replace(_without(tiny_settings, None), false_positive_rates=(0.2,))
    made = calibrated(settings, held_out=corner_images(40, seed=2))
    assert made.record.measured["typical_images"] <= 20
    scores = (
        Detector(corners, made, false_positive_rate=0.2).measure(to_pixels(corner_images(30, seed=3).images)).scores
    )
    assert scores.isfinite().all()
