"""Every strange image ends in a verdict, in an error of its own, or in a clear 400: never in a fault of the server."""

import base64
import io
import struct
import time
import zlib

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import strategies
from PIL import Image

from service.rest.schemas import DetectResponse

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8))


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def animated(kind):
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(NOISE, "JPEG", exif=exif)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, pixels, *others):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(others) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def bmp(width, height):
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + header


TEXT = zlib.compress(bytes(2**20), 9)

GOOD = {
    "animated-gif": animated("GIF"),
    "animated-webp": animated("WEBP"),
    "animated-png": animated("PNG"),
    "cmyk": encoded(NOISE.convert("CMYK"), "JPEG"),
    "palette": encoded(NOISE.convert("P")),
    "palette-transparent": encoded(NOISE.convert("P"), transparency=0),
    "grey-alpha": encoded(NOISE.convert("LA")),
    "colour-alpha": encoded(NOISE.convert("RGBA")),
    "one-bit": encoded(NOISE.convert("1")),
    "sixteen-bit": encoded(Image.fromarray(np.arange(256, dtype=np.uint16).reshape(16, 16) * 257)),
    "one-pixel": encoded(Image.new("RGB", (1, 1))),
    "exif": turned(),
    "tiff": encoded(NOISE, "TIFF"),
    "bmp": encoded(NOISE, "BMP"),
    "avif": encoded(NOISE, "AVIF"),
    "ppm": encoded(NOISE, "PPM"),
    "thin": encoded(Image.new("L", (100, 1))),
    "trailing-bytes": encoded(NOISE) + b"more" * 100,
}

BAD = {
    "empty": b"",
    "text": b"hello",
    "zeros": bytes(1000),
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "html": b"<html><script>alert(1)</script></html>",
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
    "pdf": b"%PDF-1.7\n",
    "magic-only": b"\x89PNG\r\n\x1a\n",
    "jpeg-magic-only": b"\xff\xd8\xff",
    "floating-point": encoded(Image.new("F", (9, 9)), "TIFF"),
    "truncated-png": encoded(NOISE)[:-400],
    "truncated-jpeg": encoded(NOISE, "JPEG")[:-100],
    "truncated-webp": encoded(NOISE, "WEBP")[:-100],
    "truncated-tiff": encoded(NOISE, "TIFF")[:200],
    "huge-header": png(2**31 - 1, 2**31 - 1, b""),
    "huge-header-just-so": png(7000, 7001, b""),
    "no-width": png(0, 8, b""),
    "bomb": png(13_000, 13_000, zlib.compress(bytes(13_000 * 1300), 9)),
    "too-thin": encoded(Image.new("L", (5000, 1))),
    "text-bomb": png(8, 8, zlib.compress(bytes(72)), *(chunk(b"zTXt", b"a\0\0" + TEXT),) * 200),
    "huge-bmp": bmp(2**31 - 1, 2**31 - 1),
    "negative-bmp": bmp(-8, -8),
    "wrong-crc": encoded(NOISE)[:20] + b"?" + encoded(NOISE)[21:],
}

KINDS = ("image/png", "image/jpeg", "application/octet-stream", "image/nonsense")


@pytest.mark.parametrize("name", GOOD)
def test_a_strange_but_whole_image_is_judged(client, runtime, name):
    response = client.post("/v1/detect", content=GOOD[name], headers={"content-type": "image/png"})
    assert response.status_code == 200, response.text
    [result] = DetectResponse.model_validate(response.json(), strict=True).results
    assert result.decision == "clean"
    assert runtime.engine.asks[0].images.shape == (1, 1, 8, 8)


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_whole_image_is_refused_at_once_with_the_reason(client, runtime, name):
    started = time.process_time()
    for kind in KINDS:
        response = client.post("/v1/detect", content=BAD[name], headers={"content-type": kind})
        assert response.status_code == 400, (kind, response.text)
        assert len(response.json()["error"]) > 20
    # One that keeps a decoder busy for a second would be a weapon.
    assert time.process_time() - started < len(KINDS)
    assert not runtime.engine.asks


def test_all_of_them_together_each_have_their_own_answer(client, make_runtime, make_client):
    zoo = GOOD | BAD
    forms = [("files", (name, content, KINDS[index % 4])) for index, (name, content) in enumerate(zoo.items())]
    images = [{"name": name, "data": base64.b64encode(content).decode()} for name, content in zoo.items()]
    for body in ({"files": forms}, {"json": {"images": images}}):
        response = client.post("/v1/detect", **body)
        assert response.status_code == 200, response.text
        results = DetectResponse.model_validate(response.json(), strict=True).results
        assert [result.path for result in results] == list(zoo)
        assert {result.path for result in results if result.error is None} == set(GOOD)


def test_an_image_larger_than_is_taken_is_refused_by_its_bytes_and_by_its_pixels(make_runtime, make_client):
    client = make_client(make_runtime(image_bytes=1000, image_pixels=500))
    for content, complaint in ((encoded(NOISE), "1000 bytes"), (encoded(Image.new("L", (24, 24))), "500")):
        response = client.post("/v1/detect", content=content, headers={"content-type": "image/png"})
        assert response.status_code == 400
        assert complaint in response.json()["error"]


def test_an_image_is_turned_as_its_exif_says(client, runtime, digits):
    client.post("/v1/detect", content=GOOD["exif"], headers={"content-type": "image/jpeg"})
    plain = Image.open(io.BytesIO(encoded(NOISE, "JPEG"))).transpose(Image.Transpose.ROTATE_270)
    assert torch.equal(runtime.engine.asks[0].images[0], digits.preprocessing(plain))


@hypothesis.settings(max_examples=150, suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(strategies.data())
def test_a_damaged_file_never_is_a_fault_of_the_server(client, data):
    whole = data.draw(strategies.sampled_from(sorted(GOOD.values())))
    start = data.draw(strategies.integers(0, len(whole) - 1))
    patch = data.draw(strategies.binary(max_size=8))
    end = data.draw(strategies.integers(start, min(len(whole), start + 8)))
    response = client.post(
        "/v1/detect", content=whole[:start] + patch + whole[end:], headers={"content-type": "image/png"}
    )
    assert response.status_code in {200, 400}, response.text
