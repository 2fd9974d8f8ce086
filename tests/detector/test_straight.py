import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from detector.bundle import Bundle
from detector.detector import Detector
from detector.early_exit import FLOOR, squashed
from detector.evidence import Evidence
from detector.inspection import Inspection
from detector.potentials import margin
from detector.straight import StraightPaths
from detector.types import CalibrationError, LabelledImages, to_pixels
from detector.verdict import Decision, Outcome

N_IMAGES = 40


@pytest.fixture
def images(corner_images: Callable[..., LabelledImages]) -> Tensor:
    """Some of which win by more than 4 logits, and some of noise."""
    noise = torch.rand(8, 1, 4, 4, generator=torch.Generator().manual_seed(3))
    return torch.cat([to_pixels(corner_images(N_IMAGES - 8, seed=8).images), noise])


@pytest.fixture
def is_clear(corners: Any, images: Tensor) -> Tensor:
    logits = corners.logits(images)
    return margin(logits, logits.argmax(1)) > 4


def assert_same(found: Evidence, expected: Evidence) -> None:
    for name in ("scores", "profiles", "has_left"):
        one, other = getattr(found, name), getattr(expected, name)
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-4, equal_nan=True)
    for field in dataclasses.fields(found.paths):
        one, other = getattr(found.paths, field.name), getattr(expected.paths, field.name)
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-4, equal_nan=True)


def test_images_leave_that_are_clear_and_only_the_others_are_measured_along_paths(
    leaving: Bundle, corners: Any, images: Tensor, is_clear: Tensor
) -> None:
    evidence = StraightPaths.of(leaving, corners, None)(images)
    assert 5 < int(is_clear.sum()) < N_IMAGES - 5
    assert torch.equal(evidence.has_left, is_clear)
    n_stays = int((~is_clear).sum())
    assert sum(corners.batches) == N_IMAGES + n_stays * (leaving.forward_equivalents - 1)


def test_no_number_stands_where_nothing_was_measured(leaving: Bundle, corners: Any, images: Tensor) -> None:
    evidence = StraightPaths.of(leaving, corners, None)(images)
    left = evidence.has_left
    for values in (evidence.profiles[:, :, 1:-1], evidence.paths.takeover, evidence.paths.claims):
        assert values[left].isnan().all()
        assert values[~left].isfinite().all()
    assert evidence.profiles[:, :, 0].isfinite().all()
    assert evidence.is_finite.all()


def test_the_order_of_those_measured_in_full_is_that_of_the_full_evidence(
    leaving: Bundle, corners: Any, images: Tensor
) -> None:
    straight = StraightPaths.of(leaving, corners, None)
    found, full = straight(images), straight.complete(images)
    left = found.has_left
    torch.testing.assert_close(found.scores[~left], squashed(full.scores)[~left])
    assert (found.scores[left] < FLOOR).all()
    assert (found.scores[~left] > FLOOR).all()


def test_measuring_everything_and_hiding_it_comes_to_the_same(leaving: Bundle, corners: Any, images: Tensor) -> None:
    straight = StraightPaths.of(leaving, corners, None)
    assert_same(straight.densely(images), straight(images))


@pytest.mark.parametrize("is_left", [True, False])
def test_all_images_may_leave_and_none_may(leaving: Bundle, corners: Any, images: Tensor, is_left: bool) -> None:
    assert leaving.early_exit is not None
    bound = 1e6 if is_left else -1e6
    bundle = leaving.replaced(early_exit=dataclasses.replace(leaving.early_exit, leave_below=bound))
    straight = StraightPaths.of(bundle, corners, None)
    evidence = straight(images)
    assert evidence.has_left.tolist() == [is_left] * N_IMAGES
    assert_same(straight.densely(images), evidence)
    assert straight(images[:0]).scores.shape == (0,)


def test_what_looks_strange_stays_however_clear_the_head_finds_it(
    leaving: Bundle, corners: Any, images: Tensor
) -> None:
    assert leaving.early_exit is not None
    straight = StraightPaths.of(leaving, corners, None)
    is_clear = straight(images).has_left
    shown = straight.complete(images).paths.features[:, : leaving.early_exit.head.n_features]
    distances = leaving.early_exit.ordinary(shown)
    middle = float(distances[is_clear].median())
    strict = leaving.replaced(early_exit=dataclasses.replace(leaving.early_exit, ordinary_below=middle))
    vetoing = StraightPaths.of(strict, corners, None)
    evidence = vetoing(images)
    assert torch.equal(evidence.has_left, is_clear & (distances < middle))
    assert 0 < int(evidence.has_left.sum()) < int(is_clear.sum())
    assert_same(vetoing.densely(images), evidence)


def test_a_verdict_does_not_depend_on_who_leaves_beside_it(leaving: Bundle, corners: Any, images: Tensor) -> None:
    detector = Detector(corners, leaving)
    together = detector.inspect(images)
    for alone, verdict in zip((detector.inspect(image[None])[0] for image in images), together, strict=True):
        assert (alone.decision, alone.outcome, alone.label) == (verdict.decision, verdict.outcome, verdict.label)
        assert alone.score == pytest.approx(verdict.score, abs=1e-5)


def test_an_image_that_left_is_clean_without_a_path_and_one_that_is_flagged_has_its_paths(
    leaving: Bundle, corners: Any, images: Tensor, is_clear: Tensor
) -> None:
    verdicts = Detector(corners, leaving, 0.3).inspect(images)
    for verdict, is_left in zip(verdicts, is_clear.tolist(), strict=True):
        assert (verdict.outcome is Outcome.LEFT_EARLY) == is_left
        if is_left:
            assert verdict.decision is Decision.CLEAN
            assert (verdict.barrier, verdict.prototype, verdict.profile) == (None, None, ())
            assert verdict.suspected_label is None
        else:
            assert len(verdict.profile) == 2 + len(leaving.mixing)
    assert any(verdict.decision is Decision.ADVERSARIAL for verdict in verdicts)


def test_rates_that_would_flag_an_image_that_left_are_refused(leaving: Bundle, corners: Any) -> None:
    with pytest.raises(CalibrationError, match="leave this bundle after a first look"):
        Detector(corners, leaving, 0.9)
    detector = Detector(corners, leaving, 0.05)
    for refused in (detector.supports, detector.threshold):
        with pytest.raises(CalibrationError, match="flag images whose paths nobody measured"):
            refused(0.9)
    assert detector.threshold(0.2) > FLOOR


def test_an_image_that_is_no_number_does_not_leave_and_is_undecided(
    leaving: Bundle, corners: Any, images: Tensor
) -> None:
    images[1, 0, 0, 0] = torch.nan
    evidence = StraightPaths.of(leaving, corners, None)(images)
    assert not evidence.has_left[1]
    assert Detector(corners, leaving).inspect(images)[1].outcome is Outcome.NON_FINITE


def test_images_may_come_and_be_dropped_between_steps(leaving: Bundle, corners: Any, images: Tensor) -> None:
    detector = Detector(corners, leaving)
    inspection = Inspection(detector, 5)
    inspection.admit(range(5), images[:5], [0.05] * 5)
    inspection.drop([1, 3])
    inspection.admit([7], images[7:8], [0.05])
    found = dict(inspection.step())
    assert sorted(found) == [0, 2, 4, 7]
    assert inspection.is_idle
    alone = detector.inspect(images)
    assert all(found[row].score == pytest.approx(alone[row].score, abs=1e-5) for row in found)


def test_a_step_takes_as_many_images_as_are_expected_to_fill_a_pass(leaving: Bundle, corners: Any) -> None:
    """A pass of 40 points holds the paths of ten images with four waypoints each, and half of the images leave."""
    assert leaving.prototypes.n_prototypes * len(leaving.mixing) == 4
    detector = Detector(corners, leaving, pixels_per_pass=16 * 40)
    assert detector.images_per_step == 20
    detector.inspect(to_noise(50))
    assert max(corners.batches) <= 40


def test_a_runtime_that_measures_every_image_in_full_gets_no_more_of_them_than_a_pass_holds(
    leaving: Bundle, corners: Any
) -> None:
    straight = StraightPaths.of(leaving, corners, None)
    detector = Detector(corners, leaving, pixels_per_pass=16 * 40, measure_straight=straight.densely)
    assert detector.images_per_step == 10


def to_noise(n_images: int) -> Tensor:
    return torch.rand(n_images, 1, 4, 4, generator=torch.Generator().manual_seed(9))


def test_the_score_of_an_attacker_is_below_the_threshold_exactly_where_the_image_passes(
    leaving: Bundle, corners: Any, images: Tensor
) -> None:
    detector = Detector(corners, leaving, 0.2)
    evidence = detector.straight(images)
    outputs = detector.joint(images, evidence.paths.labels)
    threshold = detector.threshold(0.2)
    assert torch.equal(outputs.scores < threshold, evidence.scores < threshold)
    assert 0 < int((evidence.scores < threshold).sum()) < N_IMAGES
