import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from detector.bundle import Bundle
from detector.conformal import ConformalScores
from detector.detector import Detector
from detector.paths import barrier_height
from detector.prototypes.prototype_set import PrototypeKind
from detector.types import BundleError, CalibrationError, ImageError, LabelledImages, to_pixels
from detector.verdict import Decision, Outcome, Verdict


def _with(bundle: Bundle, **changes: Any) -> Bundle:
    return Bundle(**(vars(bundle) | changes))


def _images(corner_images: Callable[..., LabelledImages], n_images: int) -> Tensor:
    """Unseen images, the later ones with noise that calibration knows nothing of."""
    clean = to_pixels(corner_images(n_images, seed=99).images)
    noise = torch.rand(clean.shape, generator=torch.Generator().manual_seed(3))
    return clean.lerp(noise, torch.linspace(0, 1, n_images).view(-1, 1, 1, 1))


def _assert_same(found: list[Verdict], expected: list[Verdict]) -> None:
    assert len(found) == len(expected)
    for mine, theirs in zip(found, expected, strict=True):
        assert (mine.decision, mine.label, mine.p_value) == (theirs.decision, theirs.label, theirs.p_value)
        assert mine.suspected_label == theirs.suspected_label
        assert mine.score == pytest.approx(theirs.score, abs=1e-5)
        assert mine.profile == pytest.approx(theirs.profile, abs=1e-5)


@pytest.mark.parametrize("pixels_per_pass", [1, 16 * 4, 16 * 9, 16 * 100, 2**20])
def test_a_verdict_does_not_depend_on_the_chunks(
    bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages], pixels_per_pass: int
) -> None:
    images = _images(corner_images, 60)
    _assert_same(
        Detector(corners, bundle, pixels_per_pass=pixels_per_pass).inspect(images),
        Detector(corners, bundle).inspect(images),
    )


def test_a_verdict_does_not_depend_on_the_other_images(
    bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    detector, images = Detector(corners, bundle), _images(corner_images, 60)
    together = detector.inspect(images)
    _assert_same([detector.inspect(one)[0] for one in torch.split(images, 1)], together)
    _assert_same(detector.inspect(images.flip(0))[::-1], together)


def test_the_classifier_never_sees_more_than_a_pass_holds(
    bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    Detector(corners, bundle, pixels_per_pass=16 * 20).inspect(_images(corner_images, 60))
    assert max(corners.batches) <= 20
    assert sum(corners.batches) == 60 * bundle.forward_equivalents


def test_no_image_gets_no_verdict_and_no_forward_pass(bundle: Bundle, corners: Any) -> None:
    assert Detector(corners, bundle).inspect(torch.zeros(0, 1, 4, 4)) == []
    assert corners.batches == []


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (2, 1, 4, 5), (2, 1, 8, 8)])
def test_images_of_another_shape_are_refused(bundle: Bundle, corners: Any, shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match=r"where the classifier takes \(1, 4, 4\); resize or convert"):
        Detector(corners, bundle).inspect(torch.zeros(shape))


@pytest.mark.parametrize("value", [-0.01, 1.01, 255.0, float("inf")])
def test_pixels_outside_0_to_1_are_refused(bundle: Bundle, corners: Any, value: float) -> None:
    images = torch.zeros(3, 1, 4, 4)
    images[1, 0, 2, 2] = value
    with pytest.raises(ImageError, match=r"pixels lie between .* give them in \[0, 1\]"):
        Detector(corners, bundle).inspect(images)


def test_pixels_of_double_precision_are_taken(
    bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    images = _images(corner_images, 4)
    detector = Detector(corners, bundle)
    _assert_same(detector.inspect(images.double()), detector.inspect(images))


def test_nan_pixels_leave_only_their_own_image_undecided(
    bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    images = _images(corner_images, 8)
    expected = Detector(corners, bundle).inspect(images)
    images[3] = torch.nan
    found = Detector(corners, bundle).inspect(images)
    assert (found[3].decision, found[3].outcome) == (Decision.UNDECIDED, Outcome.NON_FINITE)
    assert (found[3].score, found[3].p_value, found[3].barrier, found[3].profile) == (None, None, None, ())
    _assert_same(found[:3] + found[4:], expected[:3] + expected[4:])


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_logits_that_are_not_finite_leave_the_image_undecided(
    bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages], value: float
) -> None:
    logits = corners.logits
    corners.logits = lambda pixels: logits(pixels).index_fill(1, torch.tensor([2]), value)
    for verdict in Detector(corners, bundle).inspect(_images(corner_images, 4)):
        assert (verdict.decision, verdict.outcome) == (Decision.UNDECIDED, Outcome.NON_FINITE)


def test_a_label_without_prototypes_leaves_the_image_undecided(
    bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    available = torch.tensor([True, False, True, True])
    prototypes = dataclasses.replace(bundle.prototypes, available=available)
    images = to_pixels(corner_images(8, seed=99).images)
    for verdict in Detector(corners, _with(bundle, prototypes=prototypes)).inspect(images):
        assert (verdict.outcome is Outcome.NO_PROTOTYPE) == (verdict.label == 1)
        assert (verdict.decision is Decision.UNDECIDED) == (verdict.label == 1)


def test_a_verdict_is_adversarial_just_where_its_p_value_is_at_most_the_rate(
    bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    images = _images(corner_images, 60)
    scores = sorted(verdict.score for verdict in Detector(corners, bundle).inspect(images) if verdict.score is not None)
    # With the images' own scores for calibration, the p-values are all the multiples of 1 / 61.
    strict = _with(bundle, conformal=ConformalScores.of(torch.tensor(scores)))
    verdicts = Detector(corners, strict, false_positive_rate=0.1).inspect(images)
    flagged = [verdict for verdict in verdicts if verdict.decision is Decision.ADVERSARIAL]
    assert {verdict.p_value for verdict in flagged} == {k / 61 for k in range(2, 7)}
    assert all(verdict.suspected_label not in (None, verdict.label) for verdict in flagged)
    assert all(verdict.suspected_label is None for verdict in verdicts if verdict.decision is Decision.CLEAN)
    assert all(verdict.false_positive_rate == 0.1 for verdict in verdicts)


def test_the_barrier_is_that_of_the_lowest_path(
    bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    detector, images = Detector(corners, bundle), _images(corner_images, 12)
    profiles = detector.measure(images).profiles
    for verdict, paths in zip(detector.inspect(images), profiles, strict=True):
        barriers = barrier_height(paths)
        assert verdict.prototype is not None
        assert verdict.barrier == pytest.approx(barriers.min().item())
        assert verdict.profile == pytest.approx(paths[verdict.prototype].tolist())
        assert barriers[verdict.prototype] == barriers.min()


def test_a_profile_ends_at_the_prototypes_own_cross_entropy(
    bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    for verdict in Detector(corners, bundle).inspect(_images(corner_images, 8)):
        assert len(verdict.profile) == 2 + len(bundle.mixing)
        assert verdict.profile[-1] == bundle.prototype_profiles[verdict.label, verdict.prototype]


def test_a_rate_that_the_bundle_cannot_serve_is_refused(bundle: Bundle, corners: Any) -> None:
    with pytest.raises(CalibrationError, match="at least 9999 are needed"):
        Detector(corners, bundle, false_positive_rate=0.0001)


def test_another_classifier_is_refused(bundle: Bundle, corners: Any) -> None:
    corners.name = "another"
    with pytest.raises(BundleError, match="give the classifier it was calibrated for"):
        Detector(corners, bundle)


def test_inspecting_draws_no_global_random_numbers(
    bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages], untouched_randomness: None
) -> None:
    Detector(corners, bundle).inspect(_images(corner_images, 8))


def test_progress_ends_at_the_number_of_images(
    bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    seen: list[tuple[int, int]] = []
    detector = Detector(corners, bundle, pixels_per_pass=16 * 20)
    detector.inspect(_images(corner_images, 12), lambda _, done, total: seen.append((done, total)))
    assert seen == [(5, 12), (10, 12), (12, 12)]


def test_a_bundle_without_prototypes_judges_the_image_alone(
    calibrated: Callable[..., Bundle], tiny_settings: Any, corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    bundle = calibrated(dataclasses.replace(tiny_settings, prototype_kind=PrototypeKind.NONE, smoothings=()))
    assert bundle.forward_equivalents == 1
    for verdict in Detector(corners, bundle).inspect(_images(corner_images, 8)):
        assert verdict.outcome is Outcome.DECIDED
        assert (verdict.barrier, verdict.prototype, verdict.profile) == (None, None, ())


def test_images_may_be_judged_at_another_rate_than_the_detectors(
    bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    images = _images(corner_images, 30)
    strict = Detector(corners, bundle, false_positive_rate=0.05)
    found = strict.inspect(images, false_positive_rate=0.3)
    assert found == Detector(corners, bundle, false_positive_rate=0.3).inspect(images)
    assert found != strict.inspect(images)
    with pytest.raises(CalibrationError, match="at least 9999 are needed"):
        strict.inspect(images, false_positive_rate=0.0001)


def test_images_and_rates_can_be_checked_before_anything_is_computed(bundle: Bundle, corners: Any) -> None:
    detector = Detector(corners, bundle)
    detector.check(torch.full((2, 1, 4, 4), 0.5))
    detector.supports(0.5)
    with pytest.raises(ImageError, match="before any normalisation"):
        detector.check(torch.full((1, 1, 4, 4), 1.5))
    with pytest.raises(ImageError, match="resize or convert"):
        detector.check(torch.zeros(1, 1, 3, 4))
    for rate in (0.0001, 0.0, 1.0):
        with pytest.raises(CalibrationError):
            detector.supports(rate)
    assert corners.batches == []


def test_a_step_holds_the_images_whose_paths_fill_a_pass(bundle: Bundle, corners: Any) -> None:
    n_waypoints = bundle.prototypes.n_prototypes * len(bundle.mixing)
    assert Detector(corners, bundle, pixels_per_pass=16 * 5 * n_waypoints).images_per_step == 5


def test_searches_are_made_with_the_classifier_that_is_given_for_them(
    hesitant: Bundle, rippled: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    images = _images(corner_images, 12)
    expected = Detector(rippled, hesitant).inspect(images)
    rippled.batches.clear()
    other = copy.copy(rippled)
    other.batches = []
    detector = Detector(rippled, hesitant, search_classifier=other)
    _assert_same(detector.inspect(images), expected)
    # All that the classifier itself did was to look along straight paths, in one step of few images.
    assert len(rippled.batches) < 10 < len(other.batches)


def test_a_classifier_to_search_with_must_be_the_bundles(bundle: Bundle, corners: Any) -> None:
    other = copy.copy(corners)
    other.name = "others"
    with pytest.raises(BundleError, match="calibrated for corners"):
        Detector(corners, bundle, search_classifier=other)
