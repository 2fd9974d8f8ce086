import hashlib
import io
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from service.images import DEFAULT_LIMITS
from service.offline.items import Item
from service.offline.judging.decoding import Decoded, decode_read, decoded_items

ITEMS = [Item(path=f"{number}.png") for number in range(20)]


def told(found, seconds):
    return Decoded(pixels=None, digest=None, error=str(found), seconds=seconds)


@pytest.fixture
def decoders():
    with ThreadPoolExecutor(4) as pool:
        yield pool


def read_names(items):
    return (item.path.encode() for item in items)


def test_items_come_in_their_order(decoders) -> None:
    found = decoded_items(ITEMS, read_names, decoders, told, ahead=3)
    assert [decoded.error for decoded in found] == [str(item.path.encode()) for item in ITEMS]


def test_no_more_is_read_ahead_than_was_asked(decoders) -> None:
    n_read = 0

    def read(items):
        nonlocal n_read
        for item in items:
            n_read += 1
            yield item.path.encode()

    found = decoded_items(ITEMS, read, decoders, told, ahead=3)
    next(found)
    assert n_read == 4
    next(found)
    assert n_read == 5


def test_what_was_refused_when_it_was_listed_says_why(decoders) -> None:
    refused = Item(path="link.png", refused="the link leads nowhere")
    found = list(decoded_items([refused, ITEMS[0]], read_names, decoders, told, ahead=1))
    assert [decoded.error for decoded in found] == ["the link leads nowhere", "b'0.png'"]


def test_what_nobody_waits_for_is_not_decoded() -> None:
    begun, go_on = [], threading.Event()

    def step(found, seconds):
        begun.append(found)
        if found == b"1.png":
            go_on.wait(10)
        return told(found, seconds)

    with ThreadPoolExecutor(1) as single:
        found = decoded_items(ITEMS, read_names, single, step, ahead=8)
        next(found)
        found.close()
        go_on.set()
    assert begun in ([b"0.png"], [b"0.png", b"1.png"])


def test_an_image_gives_its_pixels_and_their_digest(gray) -> None:
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    decoded = decode_read(file.getvalue(), 5.0, preprocessing=gray, limits=DEFAULT_LIMITS)
    assert decoded.pixels is not None
    assert decoded.pixels.tolist() == [pixels.tolist()]
    assert decoded.digest == hashlib.sha256(pixels.tobytes()).hexdigest()[:16]
    assert decoded.error is None
    assert 5 < decoded.seconds < 10


@pytest.mark.parametrize(
    ("found", "error"),
    [
        ("it has gone", "it has gone"),
        ("<_io.BytesIO object at 0x7f3a9c> is bad", "<_io.BytesIO object> is bad"),
        ("a lone \udc80 byte", "a lone \\udc80 byte"),
    ],
)
def test_why_there_are_no_pixels_reads_the_same_in_every_run(found, error, gray) -> None:
    decoded = decode_read(found, 0.0, preprocessing=gray, limits=DEFAULT_LIMITS)
    assert (decoded.pixels, decoded.digest, decoded.error) == (None, None, error)


def test_bytes_that_are_no_image_are_an_error_and_raise_nothing(gray) -> None:
    decoded = decode_read(b"no image", 0.0, preprocessing=gray, limits=DEFAULT_LIMITS)
    assert decoded.error is not None
    assert decoded.error.startswith("not an image that can be decoded")
