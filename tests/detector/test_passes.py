from typing import Any

import pytest
import torch

from detector.passes import (
    CUDA_PIXELS_PER_PASS,
    PIXELS_PER_PASS,
    images_per_pass,
    pixels_per_pass,
    predicted_labels,
    waypoints_per_pass,
)
from detector.types import to_pixels


@pytest.mark.parametrize(("side", "expected"), [(32, 256), (224, 5), (512, 1), (1024, 1)])
def test_a_pass_holds_as_many_images_as_its_pixels_allow(side: int, expected: int) -> None:
    assert waypoints_per_pass((3, side, side)) == expected


@pytest.mark.parametrize(("n_waypoints", "expected"), [(0, 256), (1, 256), (6, 42), (256, 1), (1000, 1)])
def test_a_pass_holds_the_paths_of_at_least_one_image(n_waypoints: int, expected: int) -> None:
    assert images_per_pass((3, 32, 32), n_waypoints) == expected


def test_labels_are_those_of_the_classifier_whatever_goes_into_one_pass(corners: Any, corner_images: Any) -> None:
    images = to_pixels(corner_images(9, seed=5).images)
    expected = corners(images).logits.argmax(1)
    assert torch.equal(predicted_labels(corners, images), expected)
    corners.batches.clear()
    assert torch.equal(predicted_labels(corners, images, chunk=4), expected)
    assert corners.batches == [4, 4, 1]


def test_a_gpu_works_on_more_at_a_time_than_a_cpu() -> None:
    assert pixels_per_pass(torch.device("cpu")) == PIXELS_PER_PASS
    assert pixels_per_pass(torch.device("cuda", 1)) == CUDA_PIXELS_PER_PASS > PIXELS_PER_PASS
