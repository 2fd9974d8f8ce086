import pytest
import torch

from detector.gaussians_at_rest import gaussian_tensors, gaussians_from
from detector.low_rank import LowRankGaussians
from detector.potentials import Gaussians, LabelGaussians


@pytest.fixture
def gaussians() -> dict[str, Gaussians]:
    """Of one block in full, and one of low rank."""
    low_rank = LowRankGaussians(
        centre=torch.zeros(3),
        unit=torch.ones(3),
        basis=torch.eye(3)[:, :1],
        scale=torch.ones(1),
        outside=torch.tensor(2.0),
        means=torch.tensor([[1.0]]),
        unknown=torch.eye(1),
        rows=torch.tensor([0, 1]),
    )
    return {"stage.1": LabelGaussians(means=torch.rand(2, 2), whitening=torch.eye(2)[None]), "logits": low_rank}


@pytest.mark.parametrize("prefix", ["", "auxiliary_"])
def test_gaussians_come_back_in_the_form_they_had(gaussians: dict[str, Gaussians], prefix: str) -> None:
    again = gaussians_from(gaussian_tensors(gaussians, prefix), gaussians, prefix)
    assert list(again) == list(gaussians)
    for name, fit in gaussians.items():
        assert type(again[name]) is type(fit)
        assert all(torch.equal(tensor, again[name].tensors()[part]) for part, tensor in fit.tensors().items())


def test_those_of_old_bundles_are_called_as_ever(gaussians: dict[str, Gaussians]) -> None:
    tensors = gaussian_tensors({"stage.1": gaussians["stage.1"]})
    assert list(tensors) == ["means.stage.1", "whitening.stage.1"]


def test_a_tensor_that_is_missing_is_named(gaussians: dict[str, Gaussians]) -> None:
    tensors = gaussian_tensors(gaussians)
    del tensors["unknown.logits"]
    with pytest.raises(KeyError, match=r"unknown\.logits"):
        gaussians_from(tensors, gaussians)
