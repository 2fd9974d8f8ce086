import io

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from service.errors import InputError, NotFoundError
from service.offline.items import Item
from service.viewing.pictures import Original, Pictures


@pytest.fixture
def pictures():
    opened = Pictures(allow_urls=False)
    yield opened
    opened.close()


@pytest.fixture
def item(tmp_path):
    def made(data, name="image"):
        file = (tmp_path / name).resolve()
        file.write_bytes(data)
        status = file.stat()
        return Item(path=name, container=str(file), size=status.st_size, stamp=str(status.st_mtime_ns))

    return made


def png(pixels, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", **options)
    return buffer.getvalue()


def shown(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def test_a_small_image_keeps_its_pixels_exactly_and_nothing_else(pictures, item):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 9, 3), dtype=np.uint8)
    text = PngImagePlugin.PngInfo()
    text.add_text("secret", "<script>alert(1)</script>")
    drawn = pictures.png(item(png(pixels, pnginfo=text)), 16)
    assert np.array_equal(shown(drawn), pixels)
    assert b"script" not in drawn


def test_a_large_image_is_made_smaller_as_a_whole(pictures, item):
    # Left half black, right half white, twice as wide as high.
    pixels = np.repeat(np.repeat([[[0, 0, 0], [255, 255, 255]]], 100, axis=0), 100, axis=1).astype(np.uint8)
    drawn = shown(pictures.png(item(png(pixels)), 20))
    assert drawn.shape == (10, 20, 3)
    assert (drawn[:, :10] == 0).all()
    assert (drawn[:, 10:] == 255).all()


def test_gray_is_shown_as_gray(pictures, item):
    drawn = shown(pictures.png(item(png(np.full((3, 3), 77, np.uint8))), 16))
    assert (drawn == 77).all()


@pytest.mark.parametrize("data", [b"", b"root:x:0:0:root:/root:/bin/sh\n", b"<svg onload='alert(1)'/>"])
def test_what_is_no_image_is_neither_shown_nor_handed_out(pictures, item, data):
    with pytest.raises(InputError):
        pictures.png(item(data), 16)
    [answer] = pictures.originals([item(data)])
    assert isinstance(answer, str)


def test_a_file_that_changed_or_went_is_said(pictures, item, tmp_path):
    known = item(png(np.zeros((2, 2), np.uint8)))
    (tmp_path / "image").write_bytes(png(np.zeros((9, 9), np.uint8)))
    with pytest.raises(NotFoundError, match="changed"):
        pictures.png(known, 16)
    (tmp_path / "image").unlink()
    with pytest.raises(NotFoundError):
        pictures.png(known, 16)


def test_an_address_is_not_fetched_unless_that_is_allowed(pictures):
    with pytest.raises(NotFoundError):
        pictures.png(Item(path="a.png", container="http://127.0.0.1:9/a.png"), 16)


def test_originals_are_the_bytes_of_the_file_with_the_suffix_of_what_they_are(pictures, item):
    data = png(np.zeros((2, 2), np.uint8))
    first, second, third = pictures.originals([item(data, "a.jpg"), item(b"", "b"), item(data, "c")])
    assert first == third == Original(data=data, suffix=".png")
    assert isinstance(second, str)
