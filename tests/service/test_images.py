import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile, PngImagePlugin

from service.errors import InputError
from service.images import DecodingLimits, decode, pixel_digest, read_image


def png_announcing(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.fixture
def careless_pillow(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)


def test_pixels_of_the_right_size_come_through_unchanged(colour, encoded):
    pixels = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(8, 8, 3)
    decoded = decode(encoded(Image.fromarray(pixels)), colour)
    assert decoded.dtype == torch.uint8
    assert torch.equal(decoded, torch.from_numpy(pixels).permute(2, 0, 1))


def test_a_single_pixel_fills_the_image(colour, encoded):
    decoded = decode(encoded(Image.new("RGB", (1, 1), (1, 2, 3))), colour)
    assert torch.equal(decoded, torch.tensor([1, 2, 3], dtype=torch.uint8)[:, None, None].expand(3, 8, 8))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_every_common_format_is_decoded(colour, encoded, kind):
    decoded = decode(encoded(Image.new("RGB", (8, 8), (255, 0, 0)), kind), colour)
    assert (decoded.long() - torch.tensor([255, 0, 0])[:, None, None]).abs().max() <= 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"this is a text, not a picture\n", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", "not an image"),
        (b"\x89PNG\r\n\x1a\n", "not an image"),
        (b"\x89PNG\r\n\x1a\nnothing that follows is a chunk", "not an image|damaged"),
        (png_announcing(9_000, 9_000), "9000 × 9000 pixels"),
        (png_announcing(12_000, 12_000), "more than 50000000 pixels"),
        (png_announcing(60_000, 60_000), "more than 50000000 pixels"),
        (png_announcing(1, 4_000_000), "100 to 1"),
        (png_announcing(8, 8), "damaged"),
    ],
    ids=["empty", "text", "eps", "png signature", "png rubbish", "large", "bomb", "worse bomb", "strip", "no pixels"],
)
def test_what_is_no_usable_image_is_named_in_the_error(colour, data, message):
    with pytest.raises(InputError, match=message):
        decode(data, colour)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
@pytest.mark.usefixtures("careless_pillow")
def test_a_truncated_file_is_refused_and_not_filled_up(colour, encoded, noise, kind, share):
    data = encoded(noise, kind)
    with pytest.raises(InputError):
        decode(data[: int(len(data) * share)], colour)


def test_a_file_larger_than_the_limit_is_refused(colour, encoded, noise):
    with pytest.raises(InputError, match="larger than 100 bytes"):
        decode(encoded(noise), colour, DecodingLimits(n_bytes=100))


def test_a_cmyk_jpeg_keeps_its_colour(colour, encoded):
    data = encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95)
    red, green, blue = decode(data, colour).float().mean((1, 2)).tolist()
    assert red > 250
    assert green < 5
    assert blue < 5


def test_sixteen_bit_gray_is_scaled_and_not_cut_off(gray, colour, encoded):
    data = encoded(Image.fromarray(np.full((8, 8), 0x80FF, dtype=np.uint16)))
    assert decode(data, gray).unique().tolist() == [0x80]
    assert decode(data, colour).unique().tolist() == [0x80]


def test_floating_point_pixels_are_refused(gray, encoded):
    with pytest.raises(InputError, match="floating-point"):
        decode(encoded(Image.new("F", (8, 8)), "TIFF"), gray)


def test_thirty_two_bit_gray_is_refused(gray, encoded):
    with pytest.raises(InputError, match="16 bits end at 65535"):
        decode(encoded(Image.new("I", (8, 8), 70_000), "TIFF"), gray)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA"])
def test_what_is_transparent_lies_on_white(colour, encoded, mode):
    image = Image.new("RGBA", (8, 8), (200, 0, 0, 0))
    options = {}
    if mode in ("P", "PA"):
        image, options = Image.new("P", (8, 8), 0), {"transparency": 0}
    elif mode == "LA":
        image = image.convert("LA")
    assert decode(encoded(image, **options), colour).unique().tolist() == [255]


def test_half_transparent_black_on_white_is_gray(colour, encoded):
    assert decode(encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 128))), colour).unique().tolist() == [127]


def test_a_black_and_white_bitmap_is_decoded(gray, encoded):
    assert decode(encoded(Image.new("1", (8, 8), 1)), gray).unique().tolist() == [255]


def test_a_photograph_is_turned_as_its_exif_says(colour, encoded):
    image = Image.new("RGB", (8, 8), "black")
    image.paste((255, 255, 255), (0, 0, 8, 2))
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the stored image is the right side of the scene
    decoded = decode(encoded(image, exif=exif), colour)
    assert decoded[:, :, 6:].min() == 255
    assert decoded[:, :, :6].max() == 0


def test_damaged_exif_does_not_pass_as_a_crash(colour, encoded, noise):
    data = encoded(noise, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    try:
        assert decode(data, colour).shape == (3, 8, 8)
    except InputError as error:
        assert "damaged" in str(error)


def test_of_an_animation_the_first_frame_counts(colour, encoded):
    frames = [Image.new("RGB", (8, 8), name) for name in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(data, colour)[:, 0, 0].tolist() == [255, 0, 0]


def test_the_error_names_the_file(tmp_path, colour):
    path = tmp_path / "notes.png"
    path.write_text("no picture")
    with pytest.raises(InputError, match=r"notes\.png: not an image"):
        read_image(path, colour)


@pytest.mark.parametrize(("name", "message"), [("absent.png", "No such file"), ("", "Is a directory")])
def test_a_file_that_cannot_be_read_is_named(tmp_path, colour, name, message):
    with pytest.raises(InputError, match=message):
        read_image(tmp_path / name, colour)


def test_a_bomb_is_an_error_and_no_warning_where_warnings_are_let_through(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_announcing(12_000, 12_000))
    program = (
        "import sys, pathlib\n"
        "from models.preprocessing import Preprocessing\n"
        "from service.images import read_image\n"
        "from service.errors import InputError\n"
        "try: read_image(pathlib.Path(sys.argv[1]), Preprocessing(height=8, width=8, channels=3))\n"
        "except InputError as error: sys.exit(0)\n"
        "sys.exit(1)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_digest_is_that_of_the_pixels_whatever_their_layout():
    image = torch.arange(12, dtype=torch.uint8).reshape(3, 2, 2)
    assert pixel_digest(image) == pixel_digest(image.permute(1, 2, 0).contiguous().permute(2, 0, 1))
    assert pixel_digest(image) != pixel_digest(image.float())
    # sha256 of the bytes 0 to 11
    assert pixel_digest(image) == "fff3a9bcdd37363d"


def test_text_in_a_png_is_not_inflated_beyond_a_mebibyte(colour, encoded):
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "a" * 2**22, zip=True)
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG", pnginfo=text)
    assert file.tell() < 2**14
    with pytest.raises(InputError, match="damaged"):
        decode(file.getvalue(), colour)
