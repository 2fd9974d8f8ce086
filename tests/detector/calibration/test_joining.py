import pytest
import torch
from torch import Tensor

from detector.calibration.joining import joined_with_typicality
from detector.head import Head
from detector.types import CalibrationError


def _learned(weight: float) -> Head:
    """Scores the first of two features, times this."""
    head = Head(2, ()).eval()
    head.layers[0].load_state_dict({"weight": torch.tensor([[weight, 0.0]]), "bias": torch.zeros(1)})
    return head.requires_grad_(False)


def _clean(n_images: int) -> Tensor:
    return torch.randn(n_images, 2, generator=torch.Generator().manual_seed(0))


def test_either_part_is_0_in_the_middle_of_clean_images_and_1_where_one_in_twenty_scores_higher() -> None:
    clean = _clean(1001)
    head = joined_with_typicality(_learned(3.0), clean)
    parts = (head.parts(clean) - head.middle) / head.spread
    torch.testing.assert_close(
        (parts > 1e-6).double().mean(0), torch.full((2,), 0.5, dtype=torch.float64), atol=2e-3, rtol=0
    )
    torch.testing.assert_close(
        (parts > 1).double().mean(0), torch.full((2,), 0.05, dtype=torch.float64), atol=2e-3, rtol=0
    )


def test_how_steep_the_learned_head_is_does_not_matter() -> None:
    clean = _clean(200)
    flat, steep = (joined_with_typicality(_learned(weight), clean)(clean) for weight in (0.01, 100.0))
    torch.testing.assert_close(flat, steep, rtol=1e-3, atol=1e-3)


def test_a_learned_head_that_says_nothing_leaves_typicality_to_decide() -> None:
    clean = _clean(200)
    head = joined_with_typicality(_learned(0.0), clean)
    assert torch.equal(head(clean).argsort(), head.typicality(clean).argsort())


def test_too_few_clean_images_are_refused() -> None:
    with pytest.raises(CalibrationError, match="9 clean images are left"):
        joined_with_typicality(_learned(1.0), _clean(9))
