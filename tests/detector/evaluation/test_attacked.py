import dataclasses
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from detector.evaluation.attacked import AttackedImages, SkippedAttack, attack_all, has_pixel_gradient, run_attack
from detector.evaluation.attacks import Attack, AttackSpec, MissingExtraError, StrengthUnit, fgsm, pgd
from detector.types import LabelledImages, no_progress, to_pixels

IT = AttackSpec(
    name="it",
    title="It",
    method="it",
    strength=None,
    strength_unit=StrengthUnit.NONE,
    needs_gradient=False,
    most_images=None,
    attack=lambda _classifier, images, _labels, _generator: images,
)


def _run(
    attack: Attack, classifier: Any, clean: LabelledImages, chunk: int = 8, progress: Any = no_progress, **spec: Any
) -> AttackedImages | SkippedAttack:
    asked = dataclasses.replace(IT, attack=attack, **spec)
    return run_attack(asked, classifier, clean, seed=0, chunk=chunk, progress=progress)


def _made(*given: Any, **settings: Any) -> AttackedImages:
    made = _run(*given, **settings)
    assert isinstance(made, AttackedImages)
    return made


def _brighten(amount: float) -> Attack:
    """Brightens the last quarter, which fools `corners` on images of the other labels if that is enough."""

    def attack(_classifier: Any, images: Tensor, _labels: Tensor, _generator: Generator) -> Tensor:
        attacked = images.clone()
        attacked[:, :, 2:, 2:] += amount
        return attacked

    return attack


def test_only_images_that_fool_the_classifier_are_kept(
    corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    clean = corner_images(20, seed=1)
    made = _made(_brighten(0.4), corners, clean)
    # Label 3 is what the brightest quarter makes of all the others.
    assert made.sources.tolist() == [index for index in range(20) if index % 4 != 3]
    assert torch.equal(made.true_labels, clean.labels[made.sources])
    assert made.success_rate == 15 / 20
    torch.testing.assert_close(made.linf, torch.full((15,), 0.4))
    torch.testing.assert_close(made.l2, torch.full((15,), 0.8))
    expected = to_pixels(clean.images)[made.sources]
    expected[:, :, 2:, 2:] += 0.4
    assert torch.equal(made.images, expected)


@pytest.mark.parametrize("amount", [0.9, float("nan"), float("inf"), -0.9])
def test_an_attack_that_leaves_the_pixel_range_everywhere_is_skipped(
    corners: Any, corner_images: Callable[..., LabelledImages], amount: float
) -> None:
    skipped = _run(_brighten(amount), corners, corner_images(20, seed=1))
    assert skipped == SkippedAttack("none of the 20 images that it returned is finite and within [0, 1]")


@pytest.mark.parametrize("value", [1.1, -0.1, float("nan")])
def test_images_outside_the_pixel_range_are_dropped_and_counted(
    corners: Any, corner_images: Callable[..., LabelledImages], value: float
) -> None:
    def attack(classifier: Any, images: Tensor, labels: Tensor, generator: Generator) -> Tensor:
        attacked = _brighten(0.4)(classifier, images, labels, generator)
        attacked[0, 0, 0, 0] = value
        return attacked

    made = _made(attack, corners, corner_images(20, seed=1))
    # The first image of each chunk of eight is spoilt.
    assert made.n_invalid == 3
    assert made.sources.tolist() == [index for index in range(20) if index % 4 != 3 and index % 8 != 0]
    assert made.n_tried == 20


def test_an_attack_that_never_succeeds_gives_no_images(
    corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    made = _made(_brighten(0.0), corners, corner_images(20, seed=1))
    assert len(made.sources) == len(made.images) == len(made.l2) == len(made.linf) == 0
    assert (made.success_rate, made.n_invalid) == (0, 0)
    assert math.isnan(made.survives_rounding)


def test_an_attack_that_raises_is_skipped_with_the_first_line_of_what_it_said(
    corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    def attack(*_: object) -> Tensor:
        raise IndexError("index 4 is out of range\nand so on")

    assert _run(attack, corners, corner_images(4, seed=1)) == SkippedAttack(
        "it raised IndexError: index 4 is out of range"
    )


@pytest.mark.parametrize("error", [KeyboardInterrupt, MissingExtraError])
def test_what_is_no_finding_about_the_attack_is_raised(
    corners: Any, corner_images: Callable[..., LabelledImages], error: type[BaseException]
) -> None:
    def attack(*_: object) -> Tensor:
        raise error("stop")

    with pytest.raises(error, match="stop"):
        _run(attack, corners, corner_images(4, seed=1))


def test_an_attack_that_returns_another_number_of_images_is_skipped(
    corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    skipped = _run(lambda _classifier, images, _labels, _generator: images[1:], corners, corner_images(4, seed=1))
    assert isinstance(skipped, SkippedAttack)


def test_nothing_to_attack_is_a_reason(corners: Any, corner_images: Callable[..., LabelledImages]) -> None:
    assert _run(_brighten(0.4), corners, corner_images(4, seed=1)[:0]) == SkippedAttack("there are no images to attack")


def test_a_slow_attack_is_run_on_the_first_images_alone(
    corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    made = _made(_brighten(0.4), corners, corner_images(20, seed=1), most_images=6)
    assert made.n_tried == 6
    assert made.sources.tolist() == [0, 1, 2, 4, 5]


def test_rounding_undoes_what_is_smaller_than_half_a_step_of_8_bits(linear: Any) -> None:
    # The score 3·a + 12·d − 5.5 is negative at both: −0.041 and −0.006.
    levels = torch.tensor([[0, 0, 0, 116], [7, 0, 0, 115]], dtype=torch.uint8)
    clean = LabelledImages(images=levels.view(2, 1, 2, 2), labels=torch.tensor([0, 0]))
    # Both scores are positive here; only the first is once rounded, to d = 117.
    attacked = torch.tensor([[0, 0, 0, 116.9], [7.4, 0, 0, 115.1]]).view(2, 1, 2, 2) / 255
    made = _made(lambda *_: attacked, linear, clean)
    assert made.sources.tolist() == [0, 1]
    assert made.survives_rounding == 0.5


def _constant(toy: Callable[..., Any]) -> Any:
    return toy(lambda pixels: torch.ones(len(pixels), 4), n_labels=4, input_shape=(1, 4, 4))


def _detached(toy: Callable[..., Any]) -> Any:
    return toy(lambda pixels: pixels.detach().flatten(1)[:, :4], n_labels=4, input_shape=(1, 4, 4))


def _rounded(toy: Callable[..., Any]) -> Any:
    return toy(lambda pixels: pixels.round().flatten(1)[:, :4], n_labels=4, input_shape=(1, 4, 4))


def _by_numpy(toy: Callable[..., Any]) -> Any:
    return toy(lambda pixels: torch.from_numpy(pixels.numpy()).flatten(1)[:, :4], n_labels=4, input_shape=(1, 4, 4))


@pytest.mark.parametrize("blind", [_constant, _detached, _rounded, _by_numpy])
def test_without_a_gradient_only_attacks_that_need_one_are_skipped(
    toy: Callable[..., Any], corner_images: Callable[..., LabelledImages], blind: Callable[..., Any]
) -> None:
    classifier, clean = blind(toy), corner_images(4, seed=1)
    assert not has_pixel_gradient(classifier, clean)
    skipped = _run(fgsm(0.1), classifier, clean, needs_gradient=True)
    assert skipped == SkippedAttack("it needs the classifier's gradient, which does not reach the pixels")
    assert _made(_brighten(0.4), classifier, clean).n_tried == 4


def test_logits_that_sum_to_a_constant_have_a_gradient(
    toy: Callable[..., Any], corner_images: Callable[..., LabelledImages]
) -> None:
    centred = toy(
        lambda pixels: pixels.flatten(1)[:, :4] - pixels.flatten(1)[:, :4].mean(1, keepdim=True),
        n_labels=4,
        input_shape=(1, 4, 4),
    )
    assert has_pixel_gradient(centred, corner_images(4, seed=1))
    assert _made(fgsm(0.4), centred, corner_images(4, seed=1), needs_gradient=True).n_tried == 4


def test_attacks_run_in_chunks_and_say_how_far_they_are(
    corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    seen: list[tuple[str, int, int]] = []
    _run(_brighten(0.4), corners, corner_images(20, seed=1), progress=lambda *what: seen.append(what))
    assert seen == [("attacking with it", done, 20) for done in (8, 16, 20)]
    assert max(corners.batches) == 8


def test_every_attack_of_a_suite_runs_on_the_same_images_from_the_same_seed(
    corners: Any, corner_images: Callable[..., LabelledImages], untouched_randomness: None
) -> None:
    clean, suite = corner_images(20, seed=1), {"first": pgd(0.1), "second": pgd(0.1)}
    made = attack_all(suite, corners, clean, seed=0, chunk=8, progress=no_progress)
    assert list(made) == ["first", "second"]
    assert torch.equal(made["first"].images, made["second"].images)
    assert made["first"].n_tried == 20
