import pytest
import torch
from torch import Tensor, nn

from models.adapters.probing import check_runs, grey_image, is_differentiable
from models.errors import ModelError


class Deciding(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.one_hot(images.flatten(1).argmax(1), 4).float()


class Rounding(nn.Module):
    """Gives a gradient that is zero wherever there is one."""

    def forward(self, images: Tensor) -> Tensor:
        return (images.flatten(1) * 4).round()


class Failing(nn.Module):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def forward(self, _: Tensor) -> Tensor:
        raise self.error


class Odd(nn.Module):
    """Gives a gradient that is no number."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1).sub(100).sqrt()


def test_a_network_that_takes_the_images_passes() -> None:
    check_runs(nn.Sequential(nn.Flatten(), nn.Linear(6, 2)), grey_image((1, 2, 3), torch.device("cpu")))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Conv2d(3, 2, 1), r"fails on an image of shape \(1, 2, 2\) .*; check channels and input_size"),
        (nn.Conv2d(1, 2, 1), r"gives \(1, 2, 2, 2\); a classifier gives logits of shape \(1, label\)"),
        (nn.Flatten(0), r"gives \(4,\); a classifier"),
    ],
)
def test_one_that_does_not_is_refused(network: nn.Module, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_runs(network, grey_image((1, 2, 2), torch.device("cpu")))


def test_gradients_are_tried() -> None:
    images = torch.rand(1, 1, 2, 2)
    assert is_differentiable(nn.Flatten(), images)
    assert not is_differentiable(Deciding(), images)
    assert is_differentiable(nn.Sequential(nn.Flatten(), nn.Softmax(1)), images)
    assert not images.requires_grad


@pytest.mark.parametrize("network", [Rounding(), Odd(), Failing(ModelError("no gradient graph"))])
def test_a_gradient_that_leads_nowhere_is_none(network: nn.Module) -> None:
    assert not is_differentiable(network, torch.zeros(1, 1, 2, 2))


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("no memory"), MemoryError("no memory")])
def test_too_little_memory_is_no_answer(error: Exception) -> None:
    for tried in (check_runs, is_differentiable):
        with pytest.raises(type(error), match="no memory"):
            tried(Failing(error), torch.zeros(1, 1, 2, 2))
