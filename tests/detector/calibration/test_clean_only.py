import pytest
import torch
from torch import Tensor

from detector.calibration.clean_only import FEWEST_IMAGES, fit_typicality, fixed_claim_weights
from detector.types import CalibrationError


def _gaussian(n_images: int, n_features: int, seed: int = 0) -> Tensor:
    return torch.randn(n_images, n_features, generator=torch.Generator().manual_seed(seed))


def test_what_goes_against_how_features_go_together_is_untypical() -> None:
    """The second feature follows the first; one image follows it further out than another that goes against it."""
    base, noise = _gaussian(400, 1), _gaussian(400, 1, seed=1)
    head = fit_typicality(torch.cat([base, base + 0.1 * noise], 1))
    along, against, centre = head(torch.tensor([[2.0, 2.0], [1.0, -1.0], [0.0, 0.0]])).tolist()
    # Against: (1, −1) lies √2 from the line along which 0.07 is usual; along: 2 deviations of 1.
    assert against > along + 2 > centre + 2


def test_units_of_features_do_not_matter() -> None:
    features, unit = _gaussian(200, 3), torch.tensor([1.0, 1e-3, 1e4])
    image = torch.tensor([[1.0, -2.0, 0.5]])
    expected = fit_typicality(features)(image)
    torch.testing.assert_close(
        fit_typicality(features * unit + 7 * unit)((image + 7) * unit), expected, atol=0.01, rtol=0
    )


def test_a_tail_of_clean_images_does_not_widen_what_is_typical() -> None:
    features = _gaussian(400, 1)
    with_tail = features.clone()
    with_tail[:40] = 1000.0
    assert fit_typicality(with_tail).scale.item() == pytest.approx(fit_typicality(features).scale.item(), rel=0.35)
    assert with_tail.std().item() > 100


def test_fewer_images_than_features_are_enough_for_finite_scores() -> None:
    head = fit_typicality(_gaussian(FEWEST_IMAGES, 60))
    typical, odd = head(_gaussian(20, 60, seed=1)), head(3 * _gaussian(20, 60, seed=2))
    assert torch.cat([typical, odd]).isfinite().all()
    assert odd.min() > typical.max()


def test_features_that_never_change_say_nothing_until_they_do() -> None:
    head = fit_typicality(torch.cat([_gaussian(100, 1), torch.full((100, 1), 3.0)], 1))
    same, other = head(torch.tensor([[0.0, 3.0], [0.0, 4.0]])).tolist()
    assert other > same + 5


def test_too_few_images_are_refused() -> None:
    with pytest.raises(CalibrationError, match=r"9 clean images are left .* at least 10 are needed"):
        fit_typicality(_gaussian(9, 2))


def test_claims_count_in_units_of_their_spread_and_distances_against_a_label() -> None:
    spread = torch.tensor([2.0, 0.5, 4.0, 10.0, 1.0, 1.0])
    claims = _gaussian(3000, 6).view(1000, 3, 6) * spread
    # Log-odds, takeover, two distances that share one vote, and their changes, which have none.
    expected = torch.tensor([1 / 2, 1 / 0.5, -0.5 / 4, -0.5 / 10, 0, 0])
    torch.testing.assert_close(fixed_claim_weights(claims), expected, rtol=0.05, atol=1e-6)
