"""Images as PNG data URIs, small enough that a page of many examples stays light."""

import base64
import io

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

Picture = UInt8[ndarray, "channel height width"]

EXACT_SIDE = 64
"""Pictures up to this many pixels a side are shown exactly; larger ones are reduced and get a palette."""

REDUCED_SIDE = 128
"""Longer side of a large picture on the page, in pixels."""

THUMBNAIL_SIDE = 56
"""Longer side of a large picture in a strip, in pixels."""

AMPLIFICATION = 10
"""Factor on the difference between an attacked image and its source."""


def picture_uri(picture: Picture) -> str:
    """A picture as a PNG data URI; exact up to `EXACT_SIDE`, otherwise reduced to `REDUCED_SIDE`."""
    return _uri(_reduced(_to_pillow(picture), REDUCED_SIDE, Image.Resampling.BOX))


def thumbnail_uri(picture: Picture) -> str:
    """A picture of a strip as a PNG data URI; exact up to `EXACT_SIDE`, otherwise reduced to `THUMBNAIL_SIDE`."""
    return _uri(_reduced(_to_pillow(picture), THUMBNAIL_SIDE, Image.Resampling.BOX))


def difference_uri(picture: Picture, original: Picture) -> str:
    """`picture - original`, times `AMPLIFICATION`, around mid-grey; what leaves the range is clipped."""
    # Averaging neighbours would cancel the fine patterns that are to be seen.
    return _uri(_reduced(_to_pillow(difference(picture, original)), REDUCED_SIDE, Image.Resampling.NEAREST))


def difference(picture: Picture, original: Picture) -> Picture:
    """The amplified difference as a picture: 128 where nothing changed."""
    change = picture.astype(np.int32) - original.astype(np.int32)
    return np.clip(128 + AMPLIFICATION * change, 0, 255).astype(np.uint8)


def is_reduced(picture: Picture) -> bool:
    """Whether the page shows fewer pixels than the picture has."""
    _, height, width = picture.shape
    return bool(max(height, width) > EXACT_SIDE)


def _to_pillow(picture: Picture) -> Image.Image:
    if picture.shape[0] == 3:
        return Image.fromarray(np.ascontiguousarray(picture.transpose(1, 2, 0)))
    # One channel is grey already; two or more than three have no colours to show.
    return Image.fromarray(np.rint(picture.mean(0)).astype(np.uint8))


def _reduced(image: Image.Image, side: int, resampling: Image.Resampling) -> Image.Image:
    if max(image.size) <= EXACT_SIDE:
        return image
    scale = side / max(image.size)
    if scale < 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, resampling)
    # A palette takes a third of the bytes; it is not seen at this size.
    return image.quantize(colors=256) if image.mode == "RGB" else image


def _uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
