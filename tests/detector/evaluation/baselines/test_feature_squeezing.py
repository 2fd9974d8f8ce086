import math
from typing import Any

import pytest
import scipy.ndimage
import torch

from detector.evaluation.baselines.feature_squeezing import FeatureSqueezing, median_of_four, with_bit_depth


def test_one_bit_leaves_black_and_white_and_eight_bits_leave_bytes_alone() -> None:
    pixels = torch.tensor([0.0, 0.4, 0.6, 1.0])[None, None, None]
    assert with_bit_depth(pixels, 1).flatten().tolist() == [0, 0, 1, 1]
    stored = torch.arange(256)[None, None, None] / 255
    assert torch.allclose(with_bit_depth(stored, 8), stored)


def test_the_median_is_scipys() -> None:
    images = torch.rand(3, 2, 5, 7, generator=torch.Generator().manual_seed(0))
    expected = scipy.ndimage.median_filter(images.numpy(), size=(1, 1, 2, 2), mode="reflect")
    assert torch.equal(median_of_four(images), torch.from_numpy(expected))


def test_a_single_dark_pixel_is_filled_by_the_median() -> None:
    image = torch.ones(1, 1, 4, 4)
    image[0, 0, 1, 2] = 0
    assert torch.equal(median_of_four(image), torch.ones(1, 1, 4, 4))


def test_an_image_of_one_kept_colour_is_at_no_distance(linear: Any) -> None:
    images = torch.stack([torch.zeros(1, 2, 2), torch.ones(1, 2, 2), torch.full((1, 2, 2), 10 / 31)])
    assert FeatureSqueezing(classifier=linear).measure(images).tolist() == pytest.approx([0, 0, 0], abs=1e-6)


def test_the_score_is_the_larger_l1_distance_of_the_softmax(toy: Any) -> None:
    classifier = toy(
        lambda pixels: torch.stack([pixels[:, 0, 0, 0], 0 * pixels[:, 0, 0, 0]], 1), n_labels=2, input_shape=(1, 1, 1)
    )
    # One pixel is its own median; at one bit 0.4 turns black, and both softmaxes are two-label ones.
    expected = 2 * (1 / (1 + math.exp(-0.4)) - 0.5)
    found = FeatureSqueezing(classifier=classifier, bits=1).measure(torch.full((1, 1, 1, 1), 0.4))
    assert found.item() == pytest.approx(expected, rel=1e-5)
    assert len(classifier.batches) == FeatureSqueezing(classifier=classifier).forward_equivalents
