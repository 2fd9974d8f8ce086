from typing import Any

import pytest
import torch
from torch import Tensor

from detector.half_precision import HalfPrecisionClassifier, Precision


@pytest.fixture
def multiplying(toy: Any) -> Any:
    """Two logits that are a matrix product of two pixels; the map is the product too."""

    def product(pixels: Tensor) -> Tensor:
        return pixels.flatten(1) @ torch.eye(2)

    return toy(
        product,
        n_labels=2,
        input_shape=(1, 1, 2),
        representations={"map": lambda pixels: product(pixels)[:, :, None, None]},
    )


@pytest.mark.parametrize(("precision", "digits"), [(Precision.BFLOAT16, 8), (Precision.FLOAT16, 11)])
def test_products_are_rounded_to_half_precision_and_come_back_whole(
    multiplying: Any, precision: Precision, digits: int
) -> None:
    # Just above 1 by the last digit that is kept, and by the first that is not.
    kept, lost = 1 + 2.0 ** (1 - digits), 1 + 2.0**-digits / 2
    found = HalfPrecisionClassifier(multiplying, precision)(torch.tensor([kept, lost]).view(1, 1, 1, 2))
    assert found.logits.dtype == torch.float32
    assert found.logits.tolist() == [[kept, 1.0]]
    # One cell a channel: its mean is its value, its deviation the root of 1e-8, which half precision would not hold.
    torch.testing.assert_close(found.representations["map"], torch.tensor([[kept, 1.0, 1e-4, 1e-4]]))


def test_it_passes_for_the_classifier_that_it_rounds(multiplying: Any) -> None:
    rounded = HalfPrecisionClassifier(multiplying, Precision.BFLOAT16)
    assert rounded.digest() == multiplying.digest()
    assert rounded.input_shape == multiplying.input_shape
