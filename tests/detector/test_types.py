from typing import Any

import pytest
import torch

from detector.types import (
    BundleError,
    CalibrationError,
    Classifier,
    DetectorError,
    ImageError,
    LabelledImages,
    to_pixels,
)
from models.registry import load_classifier


def test_the_toys_are_classifiers(linear: Any, radial: Any, corners: Any) -> None:
    assert all(isinstance(toy, Classifier) for toy in (linear, radial, corners))


def test_the_classifiers_of_the_registry_are_classifiers() -> None:
    assert isinstance(load_classifier("digits").classifier, Classifier)


def test_every_error_is_a_detector_error() -> None:
    assert all(issubclass(error, DetectorError) for error in (ImageError, CalibrationError, BundleError))


def test_bytes_become_pixels_between_0_and_1() -> None:
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 1, 1, 3)
    torch.testing.assert_close(to_pixels(images).flatten(), torch.tensor([0.0, 0.2, 1.0]))


def test_images_without_a_label_each_are_refused() -> None:
    with pytest.raises(ImageError, match="3 images came with 2 labels"):
        LabelledImages(images=torch.zeros(3, 1, 2, 2, dtype=torch.uint8), labels=torch.zeros(2, dtype=torch.int64))


def test_a_choice_of_images_keeps_their_labels() -> None:
    data = LabelledImages(images=torch.arange(3, dtype=torch.uint8).view(3, 1, 1, 1), labels=torch.tensor([7, 8, 9]))
    chosen = data[torch.tensor([2, 0])]
    assert chosen.images.flatten().tolist() == [2, 0]
    assert chosen.labels.tolist() == [9, 7]
    assert len(data[:1]) == 1
