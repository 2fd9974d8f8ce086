import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from detector.bundle import Bundle
from detector.calibration import CalibrationSettings, Provenance, calibrate
from detector.calibration.fitting import FittingSettings
from detector.calibration.learning import LearningSettings
from detector.calibration.proxies import ProxySettings
from detector.calibration.splits import SplitShares, image_digests
from detector.calibration.stream import StreamSettings
from detector.detector import Detector
from detector.evaluation.metrics import auroc
from detector.passes import waypoints_per_pass
from detector.prototypes import PrototypeKind
from detector.prototypes.synthesis import VisualisationSettings
from detector.types import CalibrationError, ImageError, LabelledImages, to_pixels
from detector.verdict import Outcome
from models.digits import load_digits_images
from models.registry import load_classifier


def test_one_seed_gives_one_bundle(calibrated: Callable[..., Bundle], bundle: Bundle) -> None:
    first, second = bundle._tensors(), calibrated()._tensors()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_another_seed_gives_another_bundle(
    calibrated: Callable[..., Bundle], bundle: Bundle, tiny_settings: CalibrationSettings
) -> None:
    other = calibrated(dataclasses.replace(tiny_settings, seed=1))
    assert not torch.equal(other.conformal.scores, bundle.conformal.scores)
    assert not torch.equal(other.prototypes.images, bundle.prototypes.images)


def test_the_global_random_numbers_do_not_matter(calibrated: Callable[..., Bundle], bundle: Bundle) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(987)
        assert torch.equal(calibrated().conformal.scores, bundle.conformal.scores)


def test_calibrating_draws_no_global_random_numbers(
    calibrated: Callable[..., Bundle], untouched_randomness: None
) -> None:
    calibrated()


def test_the_order_of_the_held_out_images_does_not_matter_to_the_splits(
    calibrated: Callable[..., Bundle], bundle: Bundle, corner_images: Callable[..., LabelledImages]
) -> None:
    order = torch.randperm(240, generator=torch.Generator().manual_seed(0))
    other = calibrated(held_out=corner_images(240, seed=2)[order])
    assert torch.equal(other.used_images, bundle.used_images)


def test_the_record_says_what_was_used(
    bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    record = bundle.record
    assert (record.classifier, record.classifier_digest) == ("corners", corners.digest())
    assert record.measured["conformal_images"] == 48
    assert record.measured["learning_images"] == 120
    assert record.measured["statistics_images"] == 72
    assert record.measured["dropped_images"] == 0
    assert record.prototype_kinds == (PrototypeKind.LEARNED,) * 2
    assert record.blocks == ("map", "means", "logits")
    digests = image_digests(corner_images(240, seed=2).images)
    assert sorted(map(bytes, bundle.used_images.tolist())) == sorted(digests)


def test_reserved_images_are_not_used(calibrated: Callable[..., Bundle], tiny_settings: CalibrationSettings) -> None:
    shares = SplitShares(reserved=0.2, conformal=0.25, learning=0.5)
    found = calibrated(dataclasses.replace(tiny_settings, shares=shares))
    assert len(found.used_images) == 240 - 48
    assert [found.record.measured[f"{name}_images"] for name in ("reserved", "conformal", "learning")] == [48, 48, 96]


@pytest.mark.parametrize("kind", [kind for kind in PrototypeKind if kind is not PrototypeKind.LEARNED_FROM_IMAGES])
def test_a_bundle_can_be_made_with_every_kind_of_prototype(
    calibrated: Callable[..., Bundle], tiny_settings: CalibrationSettings, corners: Any, kind: PrototypeKind
) -> None:
    found = calibrated(dataclasses.replace(tiny_settings, prototype_kind=kind, fitting=FittingSettings(batches=5)))
    n_prototypes = 0 if kind is PrototypeKind.NONE else 2
    assert found.record.prototype_kinds == (kind,) * n_prototypes == found.prototypes.kinds
    (verdict,) = Detector(corners, found).inspect(torch.full((1, 1, 4, 4), 0.5))
    assert verdict.outcome is Outcome.DECIDED


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (PrototypeKind.NOISE, PrototypeKind.LEARNED),
        (PrototypeKind.STAR, PrototypeKind.LEARNED),
        (PrototypeKind.REAL, PrototypeKind.LEARNED_FROM_IMAGES),
        (PrototypeKind.OTHER_LABEL, PrototypeKind.LEARNED_FROM_IMAGES),
    ],
)
def test_the_record_says_whether_what_was_learned_started_from_images(
    calibrated: Callable[..., Bundle], tiny_settings: CalibrationSettings, start: PrototypeKind, kind: PrototypeKind
) -> None:
    record = calibrated(dataclasses.replace(tiny_settings, learning_start=start)).record
    assert record.prototype_kinds == (kind,) * 2
    assert record.settings["learning_start"] == start


def test_the_record_says_how_learning_went(bundle: Bundle) -> None:
    measured = bundle.record.measured
    assert measured["learning_steps"] == 5
    assert 0 < measured["learning_loss"] < 5
    assert 0 < measured["validation_loss"] < 0.8


def test_labels_without_references_have_no_prototypes_and_are_left_undecided(
    calibrated: Callable[..., Bundle], corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    references = corner_images(60, seed=1)
    found = calibrated(references=references[(references.labels < 3).nonzero()[:, 0]])
    assert found.prototypes.available.tolist() == [True, True, True, False]
    verdicts = Detector(corners, found).inspect(to_pixels(corner_images(8, seed=9).images))
    assert all((verdict.outcome is Outcome.NO_PROTOTYPE) == (verdict.label == 3) for verdict in verdicts)


@pytest.mark.parametrize(
    ("role", "data", "message"),
    [
        ("references", lambda make: make(8, seed=0)[:0], "there is no reference image"),
        ("held_out", lambda make: make(8, seed=0)[:0], "there is no held-out image"),
        (
            "held_out",
            lambda _: LabelledImages(
                images=torch.zeros(3, 3, 4, 4, dtype=torch.uint8), labels=torch.zeros(3, dtype=torch.int64)
            ),
            r"held-out images have shape \(3, 4, 4\) .* the classifier takes \(1, 4, 4\)",
        ),
        (
            "references",
            lambda make: LabelledImages(images=make(8, seed=0).images, labels=make(8, seed=0).labels + 1),
            "run from 1 to 4, but the classifier has 4 labels, 0 to 3",
        ),
    ],
)
def test_images_that_do_not_fit_are_refused(
    calibrated: Callable[..., Bundle],
    corner_images: Callable[..., LabelledImages],
    role: str,
    data: Callable[..., LabelledImages],
    message: str,
) -> None:
    with pytest.raises(ImageError, match=message):
        calibrated(**{role: data(corner_images)})


@pytest.mark.parametrize(("reserved", "found", "total"), [(0.0, 16, 95), (0.5, 8, 190)])
def test_too_few_held_out_images_are_refused_with_the_number_to_give(
    calibrated: Callable[..., Bundle],
    corners: Any,
    corner_images: Callable[..., LabelledImages],
    tiny_settings: CalibrationSettings,
    reserved: float,
    found: int,
    total: int,
) -> None:
    settings = dataclasses.replace(tiny_settings, shares=dataclasses.replace(tiny_settings.shares, reserved=reserved))
    message = (
        rf"{found} clean calibration images cannot .* 0\.05; at least 19 are needed, so give about {total} held-out"
    )
    with pytest.raises(CalibrationError, match=message):
        calibrated(settings, held_out=corner_images(80, seed=2))
    assert corners.batches == []


def test_too_few_correct_images_are_refused_before_anything_is_learned(
    calibrated: Callable[..., Bundle], corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    held_out = corner_images(240, seed=2)
    wrong = LabelledImages(images=held_out.images, labels=(held_out.labels + (torch.arange(240) % 5 > 0)) % 4)
    with pytest.raises(CalibrationError, match="clean calibration images cannot support a false-positive rate"):
        calibrated(held_out=wrong)
    n_conformal, n_tried_for_gradients = 48, 2
    assert sum(corners.batches) <= n_conformal + n_tried_for_gradients


def test_hardly_any_image_to_learn_from_is_refused(
    calibrated: Callable[..., Bundle], tiny_settings: CalibrationSettings
) -> None:
    shares = SplitShares(conformal=0.9, learning=0.0)
    with pytest.raises(CalibrationError, match="too few to learn from"):
        calibrated(dataclasses.replace(tiny_settings, shares=shares))
    with pytest.raises(CalibrationError, match="no held-out image is left to fit the statistics on"):
        calibrated(dataclasses.replace(tiny_settings, shares=SplitShares(conformal=0.4, learning=0.5999)))


def test_the_classifier_never_sees_more_than_a_pass_holds(
    toy: Callable[..., Any], tiny_settings: CalibrationSettings
) -> None:
    """Images of 256×256 pixels: four to a pass."""
    big = toy(
        lambda pixels: (
            40 * torch.stack([pixels[:, 0, :128, ::64].mean((1, 2)), pixels[:, 0, 128:, ::64].mean((1, 2))], 1)
        ),
        n_labels=2,
        input_shape=(1, 256, 256),
        representations={"corner": lambda pixels: pixels[:, 0, :2, :2].flatten(1)},
    )
    random = np.random.default_rng(0)
    halves = random.integers(100, 120, (60, 1, 2, 1))
    halves[range(60), 0, np.arange(60) % 2, 0] = random.integers(121, 130, 60)
    pixels = torch.from_numpy(halves).to(torch.uint8).repeat_interleave(128, 2).repeat_interleave(256, 3).contiguous()
    pixels[:, 0, 0, :4] = torch.from_numpy(random.integers(0, 256, (60, 4))).to(torch.uint8)
    data = LabelledImages(images=pixels, labels=torch.arange(60) % 2)
    settings = dataclasses.replace(
        tiny_settings,
        n_prototypes=1,
        false_positive_rates=(0.2,),
        stream=dataclasses.replace(tiny_settings.stream, images=6, sources=8),
        learning=LearningSettings(steps=2, standardising_batches=1),
        fitting=FittingSettings(batches=4, epochs=2),
        visualisation=VisualisationSettings(steps=2, jitter=0),
    )
    made = calibrate(
        big,
        references=data[:10],
        held_out=data[10:],
        settings=settings,
        provenance=Provenance(classifier="big", preprocessing={}),
    )
    Detector(big, made, false_positive_rate=0.2).inspect(to_pixels(pixels[:6]))
    assert waypoints_per_pass(big.input_shape) == 4
    assert max(big.batches) == 4


DIGITS = CalibrationSettings(
    shares=SplitShares(reserved=0.3, conformal=0.3, learning=0.25),
    stream=StreamSettings(
        images=24,
        sources=32,
        crop_padding=1,
        flip=False,
        proxies=ProxySettings(smallest_radius=0.1, largest_radius=0.25),
    ),
    prototype_kind=PrototypeKind.FEATURE_VISUALISED,
    fitting=FittingSettings(batches=8, epochs=60),
    visualisation=VisualisationSettings(steps=20),
)


def test_digits_and_noise_are_told_apart_end_to_end() -> None:
    loaded = load_classifier("digits")
    references, held_out = (LabelledImages(images=part.images, labels=part.labels) for part in load_digits_images())
    made = calibrate(
        loaded.classifier,
        references=references,
        held_out=held_out,
        settings=DIGITS,
        provenance=Provenance(classifier="digits", preprocessing={}),
    )
    used = {bytes(row) for row in made.used_images.tolist()}
    fresh = [i for i, digest in enumerate(image_digests(held_out.images)) if digest not in used]
    detector = Detector(loaded.classifier, made)
    clean = detector.inspect(to_pixels(held_out.images[fresh]))
    noise = detector.inspect(torch.rand(60, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
    scores = [np.array([verdict.score for verdict in verdicts], dtype=float) for verdicts in (clean, noise)]
    assert auroc(*scores) > 0.9
    flagged = np.mean([verdict.p_value is not None and verdict.p_value <= 0.05 for verdict in clean])
    assert flagged < 0.13
