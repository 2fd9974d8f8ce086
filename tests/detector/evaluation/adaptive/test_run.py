import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

import detector
from detector.bundle import Bundle
from detector.calibration.splits import image_digests
from detector.detector import Detector, JointOutputs
from detector.evaluation.adaptive.expectation import expectation
from detector.evaluation.adaptive.figures import AdaptiveRun, SkippedAdaptive
from detector.evaluation.adaptive.joint import AdaptiveAttack
from detector.evaluation.adaptive.run import random_targets, run_adaptive, runners_up
from detector.evaluation.adaptive.selective import selective
from detector.evaluation.adaptive.specs import AdaptiveSpec, Goal
from detector.evaluation.adaptive.square import square
from detector.passes import predicted_labels
from detector.types import LabelledImages, to_pixels, to_stored
from models.digits import load_digits_images
from models.registry import load_classifier


def _spec(attack: AdaptiveAttack, **changes: Any) -> AdaptiveSpec:
    return AdaptiveSpec(**{"name": "it", "title": "It", "radius": 0.3, "attack": attack, **changes})


@pytest.fixture
def guarded(bundle: Bundle, corners: Any) -> Detector:
    return Detector(corners, bundle)


@pytest.fixture
def clean(corners: Any, corner_images: Callable[..., LabelledImages]) -> LabelledImages:
    made = corner_images(40, seed=9)
    return made[predicted_labels(corners, to_pixels(made.images)) == made.labels][:12]


def _ran(spec: AdaptiveSpec, guarded: Detector, clean: LabelledImages, seed: int = 0) -> AdaptiveRun:
    made = run_adaptive(spec, guarded, clean, seed=seed)
    assert isinstance(made, AdaptiveRun)
    return made


def test_the_figures_are_what_inspecting_the_images_gives(
    guarded: Detector, clean: LabelledImages, untouched_randomness: None
) -> None:
    made = _ran(_spec(selective(0.3, 8)), guarded, clean)
    figures = made.figures
    verdicts = guarded.inspect(made.images)
    reached = [verdict.label == target for verdict, target in zip(verdicts, made.targets.tolist(), strict=True)]
    assert figures.n == len(made.images) == 12
    assert figures.reached.value == sum(reached) / 12
    for rate, evaded in figures.evaded.items():
        passed = [verdict.p_value is not None and verdict.p_value > rate for verdict in verdicts]
        assert evaded.value == sum(a and b for a, b in zip(reached, passed, strict=True)) / 12
    assert set(figures.evaded) == {0.01, 0.05}
    again = [verdict.p_value or 0 for verdict in guarded.inspect(to_pixels(to_stored(made.images)))]
    assert figures.evaded_rounded <= sum(value > 0.05 for value in again) / 12
    assert figures.undefended == 1 and figures.last_loss < figures.first_loss
    assert (made.targets != clean.labels).all() and made.sources.tolist() == list(range(12))
    assert ((made.images - to_pixels(clean.images)).abs() <= 0.3 + 1e-6).all()


def test_an_attack_that_does_nothing_reaches_nothing_and_its_objective_stays(
    guarded: Detector, clean: LabelledImages
) -> None:
    figures = _ran(_spec(lambda _joint, images, *_: images.clone()), guarded, clean).figures
    assert figures.reached.value == figures.evaded[0.05].value == figures.evaded_rounded == figures.undefended == 0
    assert figures.first_loss == figures.last_loss > 0


def test_images_of_the_target_itself_evade_as_often_as_clean_ones_pass(
    guarded: Detector, clean: LabelledImages
) -> None:
    pixels = to_pixels(clean.images)

    def swapped(_joint: Any, _images: Tensor, _labels: Tensor, targets: Tensor, _generator: Generator) -> Tensor:
        return torch.stack([pixels[clean.labels == target][0] for target in targets.tolist()])

    made = _ran(_spec(swapped), guarded, clean)
    passed = [verdict.p_value is not None and verdict.p_value > 0.05 for verdict in guarded.inspect(made.images)]
    assert made.figures.reached.value == made.figures.undefended == 1
    # Clean images are bytes already, so that rounding changes nothing.
    assert made.figures.evaded[0.05].value == made.figures.evaded_rounded == sum(passed) / 12


def test_the_same_seed_gives_the_same_run_and_another_one_other_targets(
    guarded: Detector, clean: LabelledImages
) -> None:
    spec = _spec(square(0.3, 8), needs_gradient=False, most_images=9)
    first, second, other = (_ran(spec, guarded, clean, seed) for seed in (1, 1, 2))
    assert torch.equal(first.images, second.images)
    assert dataclasses.replace(first.figures, seconds=0.0) == dataclasses.replace(second.figures, seconds=0.0)
    assert not torch.equal(first.targets, other.targets)
    assert first.figures.last_loss <= first.figures.first_loss
    assert len(first.images) == first.figures.n == 9


def test_images_are_attacked_in_chunks_that_fit_a_pass(
    guarded: Detector, clean: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("detector.evaluation.adaptive.run.GRADIENT_PIXELS_PER_PASS", 16 * 30)
    sizes, seen = [], []

    def counted(_joint: Any, images: Tensor, *_: Any) -> Tensor:
        sizes.append(len(images))
        return images

    run_adaptive(_spec(counted), guarded, clean, seed=0, progress=lambda *what: seen.append(what))
    n_points = guarded.joint_forward_equivalents
    assert sum(sizes) == 24 and max(sizes) == 30 // n_points
    assert seen[-1] == ("attacking the detector with it", 12, 12)


def test_targets_are_other_labels_that_the_detector_would_let_pass() -> None:
    labels = torch.arange(4).repeat(50)
    targets = random_targets(labels, torch.tensor([True, True, False, True]), Generator().manual_seed(0))
    assert targets is not None
    assert (targets != labels).all() and set(targets.tolist()) == {0, 1, 3}
    assert random_targets(labels, torch.tensor([True, False, False, False]), Generator()) is None


def test_without_gradients_only_the_black_box_runs(bundle: Bundle, corners: Any, clean: LabelledImages) -> None:
    smooth = corners.logits
    corners.logits = lambda pixels: smooth(pixels.detach())
    guarded = Detector(corners, bundle)
    skipped = run_adaptive(_spec(selective(0.3, 3)), guarded, clean, seed=0)
    assert isinstance(skipped, SkippedAdaptive)
    assert (skipped.name, skipped.reason) == ("it", "the classifier's gradient does not reach the pixels")
    _ran(_spec(square(0.3, 3), needs_gradient=False), guarded, clean)


class _Drawing(Detector):
    """Adds what it draws to the score."""

    def joint(self, images: Tensor, labels: Tensor, generator: Generator | None = None) -> JointOutputs:
        outputs = super().joint(images, labels, generator)
        return dataclasses.replace(outputs, scores=outputs.scores + torch.rand(1, generator=generator))


def test_an_expectation_is_only_taken_where_something_is_drawn(
    bundle: Bundle, corners: Any, clean: LabelledImages
) -> None:
    spec = _spec(expectation(0.3, 3, 2), needs_draws=True)
    skipped = run_adaptive(spec, Detector(corners, bundle), clean, seed=0)
    assert isinstance(skipped, SkippedAdaptive) and "nothing at random" in skipped.reason
    _ran(spec, _Drawing(corners, bundle), clean)


def test_an_attack_that_stops_is_data_but_an_interrupt_is_not(guarded: Detector, clean: LabelledImages) -> None:
    def stops(error: BaseException) -> AdaptiveAttack:
        def attack(*_: Any) -> Tensor:
            raise error

        return attack

    skipped = run_adaptive(_spec(stops(RuntimeError("no memory"))), guarded, clean, seed=0)
    assert isinstance(skipped, SkippedAdaptive) and skipped.reason == "it stopped with RuntimeError: no memory"
    with pytest.raises(KeyboardInterrupt):
        run_adaptive(_spec(stops(KeyboardInterrupt())), guarded, clean, seed=0)


def test_the_shipped_digits_are_attacked_in_earnest() -> None:
    loaded = load_classifier("digits")
    bundle = Bundle.load(Path(detector.__file__).parent / "bundles" / "digits")
    held_out = load_digits_images()[1]
    used = {bytes(row) for row in bundle.used_images.tolist()}
    fresh = [i for i, digest in enumerate(image_digests(held_out.images)) if digest not in used]
    digits = LabelledImages(images=held_out.images[fresh], labels=held_out.labels[fresh])
    clean = digits[predicted_labels(loaded.classifier, to_pixels(digits.images)) == digits.labels]
    made = _ran(_spec(selective(0.25, 15), most_images=6), Detector(loaded.classifier, bundle), clean)
    assert made.figures.undefended >= 0.9 and made.figures.reached.value >= 0.9
    assert made.figures.last_loss < made.figures.first_loss / 4
    # With so large a radius the detector is walked around, as the project says of itself.
    assert made.figures.evaded[0.05].value >= 0.5


def test_an_untargeted_attack_heads_for_the_runner_up_and_counts_every_other_label(
    guarded: Detector, clean: LabelledImages, corners: Any
) -> None:
    made = _ran(_spec(selective(0.3, 8), goal=Goal.ANY_OTHER), guarded, clean)
    logits = corners(to_pixels(clean.images)).logits.scatter(1, clean.labels[:, None], -torch.inf)
    assert made.targets.tolist() == logits.argmax(1).tolist()
    wrong = [verdict.label != label for verdict, label in zip(guarded.inspect(made.images), clean.labels, strict=True)]
    assert made.figures.reached.value == sum(wrong) / 12


def test_a_label_without_prototypes_is_nobodys_runner_up(guarded: Detector, clean: LabelledImages) -> None:
    only_first = torch.tensor([True, False, False, False])
    found = runners_up(guarded, clean[clean.labels != 0], only_first)
    assert found is not None
    assert (found == 0).all()
    assert runners_up(guarded, clean, only_first) is None
