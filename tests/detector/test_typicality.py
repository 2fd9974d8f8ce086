import math

import pytest
import torch

from detector.typicality import Typicality


def _of(centre: list[float], deviations: list[float]) -> Typicality:
    """Features that are already in their unit, of these standard deviations and independent."""
    head = Typicality(len(centre)).eval()
    head.centre.copy_(torch.tensor(centre))
    head.whitening.copy_(torch.diag(1 / torch.tensor(deviations)))
    return head


def test_the_score_is_the_logarithm_of_the_mean_squared_distance() -> None:
    head = _of([1.0, 0.0], [1.0, 2.0])
    # (3 − 1)² / 1² and 4² / 2² are 4 each.
    assert head(torch.tensor([[3.0, 4.0]])).item() == pytest.approx(math.log(4), abs=1e-5)


def test_both_tails_count_the_same() -> None:
    head = _of([0.0], [1.0])
    too_sure, too_unsure, typical = head(torch.tensor([[5.0], [-5.0], [0.5]])).tolist()
    assert too_sure == too_unsure > typical


def test_a_typical_image_scores_about_nothing() -> None:
    features = torch.randn(500, 20, generator=torch.Generator().manual_seed(0))
    assert _of([0.0] * 20, [1.0] * 20)(features).exp().mean().item() == pytest.approx(1, abs=0.05)


def test_a_single_odd_feature_is_cut_off_and_lets_its_gradient_pass() -> None:
    head = _of([0.0], [1.0])
    features = torch.tensor([[1e30]], requires_grad=True)
    assert head(features).item() == pytest.approx(math.log(64), abs=1e-5)
    (blocked,) = torch.autograd.grad(head(features).sum(), features)
    assert blocked.item() == 0
    near = torch.tensor([[20.0]], requires_grad=True)
    assert head.passing_gradients(near).item() == pytest.approx(math.log(64), abs=1e-5)
    (passed,) = torch.autograd.grad(head.passing_gradients(near).sum(), near)
    # d log(x²) / dx at the cut-off of 8.
    assert passed.item() == pytest.approx(2 / 8, abs=1e-5)


def test_nan_features_give_nan() -> None:
    assert Typicality(2)(torch.tensor([[torch.nan, 0.0]])).isnan().all()
