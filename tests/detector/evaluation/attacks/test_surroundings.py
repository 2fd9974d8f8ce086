import random
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from detector.evaluation.attacks.surroundings import borrowed, left_as_found, seeded


class Frozen(nn.Module):
    """A classifier of two labels with parameters, a batch norm and a dropout."""

    labels = ("a", "b")
    input_shape = (1, 2, 2)
    device = torch.device("cpu")
    digest = staticmethod(lambda: "frozen")

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.dropout, self.linear = nn.BatchNorm2d(1), nn.Dropout(), nn.Linear(4, 2)

    def forward(self, pixels: Tensor) -> Any:
        return self.linear(self.dropout(self.norm(pixels)).flatten(1))


@pytest.fixture
def found() -> Frozen:
    """In a state that nobody would guess: partly training, partly frozen, with one gradient."""
    classifier = Frozen().train()
    classifier.norm.eval()
    classifier.linear.weight.grad = torch.full_like(classifier.linear.weight, 7.0)
    classifier.linear.bias.requires_grad_(False)
    return classifier


def _require_as_found(classifier: Frozen) -> None:
    assert [module.training for module in classifier.modules()] == [True, False, True, True]
    assert [parameter.requires_grad for parameter in classifier.parameters()] == [True, True, True, False]
    gradients = [parameter.grad for parameter in classifier.parameters()]
    assert gradients[2] is not None and (gradients[2] == 7.0).all()
    assert gradients[0] is gradients[1] is gradients[3] is None


def _meddle(classifier: Frozen) -> None:
    """Everything that attacks are known to do, and worse."""
    assert not any(module.training for module in classifier.modules())
    assert not any(parameter.requires_grad for parameter in classifier.parameters())
    classifier.requires_grad_(True)
    classifier(torch.rand(3, 1, 2, 2)).sum().backward()
    classifier.train()
    classifier.norm.eval()


def test_modes_and_gradients_are_given_back(found: Frozen) -> None:
    with left_as_found(found):
        _meddle(found)
    _require_as_found(found)


def test_modes_and_gradients_are_given_back_after_an_error(found: Frozen) -> None:
    with pytest.raises(KeyboardInterrupt), left_as_found(found):
        _meddle(found)
        raise KeyboardInterrupt
    _require_as_found(found)


def _draws() -> tuple[float, float, float]:
    return torch.rand(()).item(), np.random.rand(), random.random()


def test_global_random_numbers_follow_the_seed() -> None:
    drawn = []
    for seed in (3, 3, 4):
        with seeded(seed):
            drawn.append(_draws())
    assert drawn[0] == drawn[1]
    assert all(a != b for a, b in zip(drawn[0], drawn[2], strict=True))


@pytest.mark.parametrize("error", [None, ValueError])
def test_global_random_numbers_go_on_as_if_nothing_had_been_drawn(error: type[Exception] | None) -> None:
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    expected = _draws()
    torch.set_rng_state(states[0]), np.random.set_state(states[1]), random.setstate(states[2])
    try:
        with seeded(3):
            _draws()
            torch.manual_seed(5)
            if error:
                raise error
    except ValueError:
        pass
    assert _draws() == expected


def test_only_deprecations_are_kept_quiet_about(found: Frozen) -> None:
    with borrowed(found, seed=1), torch.no_grad():
        warnings.warn("the library's own affair", DeprecationWarning, stacklevel=1)
        with pytest.raises(RuntimeWarning):
            warnings.warn("an overflow", RuntimeWarning, stacklevel=1)
    _require_as_found(found)


def test_gradients_are_on_however_the_attack_is_called(found: Frozen) -> None:
    with torch.no_grad():
        with borrowed(found, seed=1):
            assert torch.is_grad_enabled()
        assert not torch.is_grad_enabled()
