from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from detector.evaluation.attacks import SUITE, carlini_wagner, deepfool, fgsm, pgd, targeted_pgd
from detector.potentials import margin

WEIGHTS = torch.tensor([3.0, -4.0, 0.0, 12.0]).view(1, 1, 2, 2)


@pytest.fixture
def random() -> Generator:
    return Generator().manual_seed(0)


def _images(n_images: int) -> Tensor:
    """Far enough from the ends of the range for the closed forms to hold."""
    return 0.3 + 0.4 * torch.rand(n_images, 1, 2, 2, generator=Generator().manual_seed(1))


def _scored(linear: Any, images: Tensor) -> tuple[Tensor, Tensor]:
    """Labels, and distances to the plane in L2: |w| = 13."""
    logits = linear(images).logits
    return logits.argmax(1), logits[:, 1].abs() / 13


def _towards_the_plane(labels: Tensor) -> Tensor:
    return (1.0 - 2.0 * labels).view(-1, 1, 1, 1)


def test_one_step_moves_every_pixel_that_counts_by_the_radius(linear: Any, random: Generator) -> None:
    images = _images(20)
    labels, _ = _scored(linear, images)
    expected = images + 0.1 * WEIGHTS.sign() * _towards_the_plane(labels)
    torch.testing.assert_close(fgsm(0.1)(linear, images, labels, random), expected)


def test_on_a_plane_many_steps_end_where_one_does(linear: Any, random: Generator) -> None:
    images = _images(20)
    labels, _ = _scored(linear, images)
    difference = (pgd(0.1)(linear, images, labels, random) - images)[:, WEIGHTS[0] != 0]
    expected = (0.1 * WEIGHTS.sign() * _towards_the_plane(labels))[:, WEIGHTS[0] != 0]
    torch.testing.assert_close(difference, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("attack", [pgd(0.05), targeted_pgd(0.05), fgsm(0.05)])
def test_attacks_of_a_radius_stay_in_their_ball_and_range(corners: Any, random: Generator, attack: Any) -> None:
    images = torch.rand(40, 1, 4, 4, generator=Generator().manual_seed(1))
    attacked = attack(corners, images, corners(images).logits.argmax(1), random)
    assert (attacked - images).abs().max() <= 0.05 + 1e-6
    assert ((attacked >= 0) & (attacked <= 1)).all()


def test_a_targeted_attack_with_room_enough_reaches_every_other_label(corners: Any, random: Generator) -> None:
    images = torch.rand(90, 1, 4, 4, generator=Generator().manual_seed(1))
    labels = corners(images).logits.argmax(1)
    found = corners(targeted_pgd(1.0)(corners, images, labels, random)).logits.argmax(1)
    offsets = torch.bincount((found - labels) % 4, minlength=4)
    assert offsets[0] == 0
    assert (offsets[1:] > 15).all()


def _gap(linear: Any, images: Tensor, attacked: Tensor) -> tuple[Tensor, Tensor]:
    _, distances = _scored(linear, images)
    return (attacked - images).flatten(1).norm(dim=1), distances


def test_deepfool_crosses_the_plane_at_its_nearest_point(linear: Any, random: Generator) -> None:
    images = _images(30)
    labels, _ = _scored(linear, images)
    attacked = deepfool()(linear, images, labels, random)
    assert (linear(attacked).logits.argmax(1) != labels).all()
    lengths, distances = _gap(linear, images, attacked)
    # Two per cent of overshoot and the little that carries it across.
    torch.testing.assert_close(lengths, distances * 1.02, atol=1e-4, rtol=0.01)
    directions = (attacked - images) / lengths.view(-1, 1, 1, 1)
    torch.testing.assert_close(directions, WEIGHTS / 13 * _towards_the_plane(labels), atol=1e-3, rtol=0)


def test_deepfool_goes_to_the_nearest_of_several_labels(corners: Any, random: Generator) -> None:
    quarters = torch.tensor([[0.6, 0.5, 0.55, 0.4]]).view(1, 1, 2, 2)
    images = quarters.repeat_interleave(2, 2).repeat_interleave(2, 3)
    attacked = deepfool()(corners, images, torch.tensor([0]), random)
    assert corners(attacked).logits.argmax(1).tolist() == [2]
    # The means have to meet half-way: each of 8 pixels moves by 0.025.
    assert (attacked - images).norm().item() == pytest.approx(0.025 * 8**0.5, rel=0.03)


def test_carlini_and_wagner_end_within_a_few_per_cent_of_the_plane(linear: Any, random: Generator) -> None:
    images = _images(30)
    labels, _ = _scored(linear, images)
    attacked = carlini_wagner(0.0)(linear, images, labels, random)
    assert (linear(attacked).logits.argmax(1) != labels).all()
    lengths, distances = _gap(linear, images, attacked)
    far = distances > 0.05
    assert far.sum() > 10
    assert (lengths >= distances * (1 - 1e-3)).all()
    assert (lengths[far] / distances[far]).median() < 1.05
    assert (lengths[far] / distances[far]).max() < 1.2


def test_confidence_is_the_margin_that_carlini_and_wagner_reach(linear: Any, random: Generator) -> None:
    images = _images(30)
    labels, distances = _scored(linear, images)
    attacked = carlini_wagner(3.0)(linear, images, labels, random)
    assert (margin(linear(attacked).logits, 1 - labels) >= 3.0).all()
    lengths, _ = _gap(linear, images, attacked)
    expected = distances + 3 / 13
    assert (lengths / expected).median() < 1.05


def test_what_cannot_be_fooled_comes_back_as_it_was(toy: Callable[..., Any], random: Generator) -> None:
    stubborn = toy(
        lambda pixels: torch.stack([pixels.flatten(1).sum(1) * 0 + 5, pixels.flatten(1).sum(1) * 0], 1),
        n_labels=2,
        input_shape=(1, 2, 2),
    )
    images, labels = _images(3), torch.zeros(3, dtype=torch.int64)
    assert torch.equal(carlini_wagner(0.0, searches=2, steps=3)(stubborn, images, labels, random), images)
    assert torch.equal(deepfool(steps=2)(stubborn, images, labels, random), images)


@pytest.mark.parametrize("name", SUITE)
def test_attacks_take_their_random_numbers_from_the_generator_alone(
    corners: Any, untouched_randomness: None, name: str
) -> None:
    images = torch.rand(4, 1, 4, 4, generator=Generator().manual_seed(1))
    labels = corners(images).logits.argmax(1)
    first, second = (SUITE[name](corners, images, labels, Generator().manual_seed(2)) for _ in range(2))
    assert torch.equal(first, second)
    assert ((first >= 0) & (first <= 1)).all()
