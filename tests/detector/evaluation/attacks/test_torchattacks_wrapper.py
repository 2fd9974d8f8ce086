import importlib.util
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from detector.evaluation.attacks import ALL, AttackError, AttackSpec, MissingExtraError, fgsm
from detector.evaluation.attacks import torchattacks_wrapper as wrapper
from detector.evaluation.attacks.torchattacks_wrapper import carlini_wagner_among, saliency_map, torchattack
from detector.potentials import margin


@pytest.fixture
def generator() -> Generator:
    return Generator().manual_seed(0)


@pytest.fixture
def coloured(toy: Callable[..., Any]) -> Any:
    """The label is the brightest quarter of a colour image of 8×8 pixels; its logit is 40 times its mean."""
    return toy(
        lambda pixels: 40 * nn.functional.adaptive_avg_pool2d(pixels, 2).mean(1).flatten(1),
        n_labels=4,
        input_shape=(3, 8, 8),
    )


def _grey(n_images: int) -> Tensor:
    return 0.3 + 0.4 * torch.rand(n_images, 1, 2, 2, generator=Generator().manual_seed(1))


def test_one_step_of_the_library_is_one_step_of_our_own(linear: Any, generator: Generator) -> None:
    images = _grey(20)
    labels = linear(images).logits.argmax(1)
    expected = fgsm(0.1)(linear, images, labels, generator)
    torch.testing.assert_close(torchattack("FGSM", eps=0.1)(linear, images, labels, generator), expected)


@pytest.mark.parametrize("spec", ALL, ids=lambda spec: spec.name)
def test_every_attack_draws_from_the_generator_alone_and_stays_in_range(
    spec: AttackSpec, coloured: Any, untouched_randomness: None
) -> None:
    # Near black, where the range ends, and so alike that nothing takes long.
    images = 0.02 * torch.rand(2, 3, 8, 8, generator=Generator().manual_seed(1))
    labels = coloured(images).logits.argmax(1)
    before, python_state = images.clone(), random.getstate()
    first, second = (spec.attack(coloured, images, labels, Generator().manual_seed(2)) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(images, before)
    assert random.getstate() == python_state
    assert first.shape == images.shape and not first.requires_grad
    assert ((first >= 0) & (first <= 1)).all()


def test_another_generator_gives_other_images(coloured: Any) -> None:
    images = torch.rand(2, 3, 8, 8, generator=Generator().manual_seed(1))
    labels = coloured(images).logits.argmax(1)
    for attack in (torchattack("FFGSM"), torchattack("Square", n_queries=5), torchattack("Pixle", restarts=1)):
        first, second = (attack(coloured, images, labels, Generator().manual_seed(seed)) for seed in (2, 3))
        assert not torch.equal(first, second)


class Parametric(nn.Module):
    """Two labels, with parameters in training; fails in the forward pass number `fails_at`."""

    labels = ("a", "b")
    input_shape = (1, 2, 2)
    device = torch.device("cpu")
    digest = staticmethod(lambda: "parametric")

    def __init__(self, fails_at: int | None = None) -> None:
        super().__init__()
        self.linear = torch.nn.utils.skip_init(nn.Linear, 4, 2)
        with torch.no_grad():
            self.linear.weight.copy_(torch.tensor([[1.0, -1.0, 0.5, 0.0], [0.0, 1.0, -0.5, 1.0]]))
            self.linear.bias.zero_()
        self.calls: Iterator[int] = iter(range(10**9))
        self.fails_at = fails_at
        self.linear.weight.grad = torch.full((2, 4), 7.0)

    def forward(self, pixels: Tensor) -> Any:
        if next(self.calls) == self.fails_at:
            raise RuntimeError("out of luck")
        outputs = torch.nn.Module()
        outputs.logits, outputs.representations = self.linear(pixels.flatten(1)), {}
        return outputs


@pytest.mark.parametrize("name", ["CW", "DeepFool", "EADL1", "FAB"])
@pytest.mark.parametrize("fails_at", [None, 3])
def test_a_classifier_is_left_as_it_was_found(
    name: str, fails_at: int | None, generator: Generator, untouched_randomness: None
) -> None:
    classifier = Parametric(fails_at)
    classifier.linear.eval()
    images, labels = _grey(3), torch.tensor([0, 1, 0])
    if fails_at is None:
        torchattack(name)(classifier, images, labels, generator)
    else:
        with pytest.raises(RuntimeError, match="out of luck"):
            torchattack(name)(classifier, images, labels, generator)
    assert classifier.training and not classifier.linear.training
    assert classifier.linear.weight.requires_grad and classifier.linear.bias.requires_grad
    assert torch.equal(classifier.linear.weight.grad, torch.full((2, 4), 7.0))
    assert classifier.linear.bias.grad is None


def test_gradients_in_another_memory_order_are_no_obstacle(toy: Callable[..., Any], generator: Generator) -> None:
    def logits(pixels: Tensor) -> Tensor:
        last = pixels.permute(0, 2, 3, 1).flatten(1)
        return torch.stack([last.sum(1) * 0, last @ torch.linspace(-1, 1, 12)], 1)

    classifier = toy(logits, n_labels=2, input_shape=(3, 2, 2))
    images = torch.rand(4, 3, 2, 2, generator=Generator().manual_seed(1))
    labels = classifier(images).logits.argmax(1)
    attacked = torchattack("PGDL2", eps=0.5)(classifier, images, labels, generator)
    assert ((attacked - images).flatten(1).norm(dim=1) <= 0.5 + 1e-6).all()
    assert (margin(classifier(attacked).logits, labels) < margin(classifier(images).logits, labels)).all()


def test_confidence_is_a_margin_that_is_reached(linear: Any, generator: Generator) -> None:
    images = _grey(20)
    labels = linear(images).logits.argmax(1)
    attack = carlini_wagner_among((0.1, 1.0, 10.0), 2.0, lr=0.05)
    assert (margin(linear(attack(linear, images, labels, generator)).logits, labels) < -2.0).all()


def test_only_what_smaller_constants_do_not_fool_is_tried_with_a_larger_one(linear: Any, generator: Generator) -> None:
    images = _grey(20)
    labels = linear(images).logits.argmax(1)
    weak, both = (
        carlini_wagner_among(constants, 0.0, lr=0.05)(linear, images, labels, generator)
        for constants in ((0.02,), (0.02, 10.0))
    )
    is_fooled = linear(weak).logits.argmax(1) != labels
    # A constant c outweighs the distance only up to 13·c: 0.26, further than some and nearer than others.
    assert 0 < is_fooled.sum() < 20
    assert (linear(both).logits.argmax(1) != labels).all()
    assert torch.equal(both[is_fooled], weak[is_fooled])
    assert torch.equal(weak[~is_fooled], images[~is_fooled])


def test_the_saliency_map_aims_at_the_next_of_however_many_labels(
    toy: Callable[..., Any], generator: Generator
) -> None:
    def logits(pixels: Tensor) -> Tensor:
        means = nn.functional.avg_pool2d(pixels, 2).flatten(1)
        return 40 * (means - means.mean(1, keepdim=True))

    classifier = toy(logits, n_labels=4, input_shape=(1, 4, 4))
    labels = torch.arange(4)
    images = torch.full((4, 1, 4, 4), 0.4)
    for image, (row, column) in zip(images, ((0, 0), (0, 2), (2, 0), (2, 2)), strict=True):
        image[0, row : row + 2, column : column + 2] = 0.6
    attacked = saliency_map(gamma=1.0)(classifier, images, labels, generator)
    assert classifier(attacked).logits.argmax(1).tolist() == [1, 2, 3, 0]


def test_the_saliency_map_refuses_images_whose_pairs_of_values_do_not_fit(coloured: Any, generator: Generator) -> None:
    with pytest.raises(AttackError, match="4107 values"):
        saliency_map()(coloured, torch.zeros(1, 3, 37, 37), torch.zeros(1, dtype=torch.int64), generator)


def _without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    wrapper._library.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)


def test_a_missing_library_is_said_with_the_extra_that_brings_it(
    linear: Any, generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without_the_library(monkeypatch)
    with pytest.raises(MissingExtraError, match=r"pip install 'isthmus\[attacks\]'"):
        torchattack("FGSM")(linear, _grey(1), torch.tensor([0]), generator)


def test_an_attack_that_this_version_lacks_is_said_with_the_version(linear: Any, generator: Generator) -> None:
    with pytest.raises(MissingExtraError, match=r"torchattacks 3\.5\.1 has no attack Nonesuch"):
        torchattack("Nonesuch")(linear, _grey(1), torch.tensor([0]), generator)
