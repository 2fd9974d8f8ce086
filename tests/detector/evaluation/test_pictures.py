import base64
import io

import numpy as np
import pytest
from PIL import Image

from detector.evaluation.pictures import difference, difference_uri, is_reduced, picture_uri, thumbnail_uri


def decoded(uri: str) -> Image.Image:
    head, _, body = uri.partition(",")
    assert head == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(body)))


@pytest.mark.parametrize("n_channels", [1, 3])
def test_a_small_picture_keeps_every_pixel(n_channels: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (n_channels, 8, 6), dtype=np.uint8)
    pixels = np.asarray(decoded(picture_uri(picture)))
    assert np.array_equal(pixels.reshape(8, 6, n_channels).transpose(2, 0, 1), picture)


def test_two_channels_are_shown_as_their_mean() -> None:
    picture = np.stack([np.full((4, 4), 10, np.uint8), np.full((4, 4), 30, np.uint8)])
    assert np.array_equal(np.asarray(decoded(picture_uri(picture))), np.full((4, 4), 20))


def test_a_large_picture_is_reduced_and_keeps_its_proportions() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (3, 112, 224), dtype=np.uint8)
    assert decoded(picture_uri(photo)).size == (128, 64)
    assert decoded(thumbnail_uri(photo)).size == (56, 28)
    assert is_reduced(photo) and not is_reduced(photo[:, :64, :64])


def test_no_difference_is_mid_grey_and_the_rest_is_ten_times_as_far_from_it() -> None:
    original = np.full((1, 1, 4), 100, np.uint8)
    picture = np.array([[[100, 103, 98, 255]]], np.uint8)
    assert difference(picture, original).tolist() == [[[128, 158, 108, 255]]]


def test_a_fine_pattern_in_a_large_difference_is_not_averaged_away() -> None:
    original = np.full((3, 224, 224), 100, np.uint8)
    checks = original + 4 * (np.indices((224, 224)).sum(0) % 2).astype(np.uint8)
    shown = np.asarray(decoded(difference_uri(checks, original)).convert("L"))
    assert shown.min() == 128 and shown.max() == 168
