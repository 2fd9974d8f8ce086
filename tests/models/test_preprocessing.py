import json

import numpy as np
import pytest
import torch
from PIL import Image

from models.errors import ModelError
from models.preprocessing import Interpolation, Preprocessing


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    shape = (height, width, 3) if mode == "RGB" else (height, width)
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))


def stripes(width: int, height: int) -> Image.Image:
    """Each column has its own index as grey value."""
    return Image.fromarray(np.tile(np.arange(width, dtype=np.uint8), (height, 1)))


@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("L", 1)])
def test_an_image_of_the_right_size_keeps_its_pixels(mode: str, channels: int) -> None:
    image = noise(7, 5, mode)
    pixels = Preprocessing(height=5, width=7, channels=channels, resize_shorter=6)(image)
    assert pixels.dtype == torch.uint8
    assert pixels.is_contiguous()
    assert np.array_equal(pixels.permute(1, 2, 0).numpy().squeeze(), np.asarray(image))


def test_the_crop_is_taken_from_the_centre() -> None:
    # The shorter side is right already, so columns 2..7 of 0..9 are kept.
    pixels = Preprocessing(height=6, width=6, channels=1)(stripes(10, 6))
    assert pixels[0, 0].tolist() == [2, 3, 4, 5, 6, 7]


def test_the_shorter_side_is_resized_before_the_crop() -> None:
    # 40×20 becomes 20×10, of which the middle 8×8 is kept: columns 6..13, each the mean of two of the original.
    preprocessing = Preprocessing(height=8, width=8, channels=1, resize_shorter=10, interpolation=Interpolation.NEAREST)
    assert preprocessing(stripes(40, 20))[0, 0].tolist() == [13, 15, 17, 19, 21, 23, 25, 27]


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (50, 3), (7, 8), (9, 8), (33, 17)])
@pytest.mark.parametrize("shape", [(8, 8), (4, 9), (9, 4)])
def test_any_size_ends_as_the_crop(size: tuple[int, int], shape: tuple[int, int]) -> None:
    height, width = shape
    for resize_shorter in (None, 9):
        preprocessing = Preprocessing(height=height, width=width, channels=3, resize_shorter=resize_shorter)
        assert preprocessing(noise(*size)).shape == (3, height, width)


@pytest.mark.parametrize("interpolation", list(Interpolation))
def test_a_plain_image_stays_plain(interpolation: Interpolation) -> None:
    preprocessing = Preprocessing(height=5, width=6, channels=3, interpolation=interpolation)
    assert preprocessing(Image.new("RGB", (31, 17), (10, 20, 30))).flatten(1).unique(dim=1).tolist() == [
        [10],
        [20],
        [30],
    ]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_common_mode_is_converted(mode: str, channels: int) -> None:
    pixels = Preprocessing(height=4, width=4, channels=channels)(Image.new(mode, (9, 4)))
    assert pixels.shape == (channels, 4, 4)


def test_a_palette_with_transparency_is_converted_without_a_warning() -> None:
    image = Image.new("P", (4, 4))
    image.putpalette([200, 100, 50] * 256)
    image.info["transparency"] = bytes([0] * 256)
    assert Preprocessing(height=4, width=4, channels=3)(image)[:, 0, 0].tolist() == [200, 100, 50]


def test_sixteen_bit_grey_is_scaled_and_not_clipped() -> None:
    image = Image.fromarray(np.array([[0, 256, 0x7FFF, 0xFFFF]], dtype=np.uint16))
    assert Preprocessing(height=1, width=4, channels=1)(image).tolist() == [[[0, 1, 127, 255]]]


@pytest.mark.parametrize("mode", ["I", "F"])
def test_a_mode_without_a_range_is_refused(mode: str) -> None:
    with pytest.raises(ModelError, match=f"mode '{mode}' has no fixed range"):
        Preprocessing(height=4, width=4, channels=1)(Image.new(mode, (4, 4)))


def test_it_survives_json() -> None:
    preprocessing = Preprocessing(height=4, width=5, channels=3, resize_shorter=6, interpolation=Interpolation.BICUBIC)
    assert Preprocessing.from_dict(json.loads(json.dumps(preprocessing.to_dict()))) == preprocessing


def test_what_was_stored_before_there_were_versions_is_the_first() -> None:
    stored = {"height": 4, "width": 5, "channels": 3, "resize_shorter": None, "interpolation": "bilinear"}
    preprocessing = Preprocessing.from_dict(stored)
    assert preprocessing == Preprocessing(height=4, width=5, channels=3)
    assert preprocessing.to_dict() == stored | {"version": 1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"height": 0}, "height: Input should be greater than 0"),
        ({"channels": 2}, "images have 3 channels .RGB. or 1 .grey., not 2"),
        ({"resize_shorter": 3}, "shorter side to 3 leaves too little for a crop of 4×5; resize to at least 4"),
        ({"interpolation": "magic"}, "interpolation: Input should be 'nearest'"),
        ({"mean": 0.5}, "mean: unknown key"),
        ({"version": 2}, "version 2 of the steps is meant, and version 1 is known here"),
        ({"version": "new"}, "version: Input should be a valid integer"),
    ],
)
def test_a_wrong_value_is_one_clear_line(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        Preprocessing.from_dict({"height": 4, "width": 5, "channels": 3} | changes)
    assert "\n" not in str(caught.value)
