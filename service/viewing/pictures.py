"""Images of an audit, read from its source again: encoded anew for a browser, and as they are for an export."""

import dataclasses
import io
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from models.preprocessing import Preprocessing
from service.errors import InputError, NotFoundError
from service.images import DEFAULT_LIMITS, FORMATS, DecodingLimits, decode
from service.offline.items import Item
from service.offline.reading.item_reader import ItemReader

SUFFIXES = {
    "PNG": ".png",
    "JPEG": ".jpg",
    "WEBP": ".webp",
    "GIF": ".gif",
    "BMP": ".bmp",
    "TIFF": ".tif",
    "PPM": ".ppm",
    "AVIF": ".avif",
}


class WholePicture(Preprocessing):
    """The whole image, made smaller where it does not fit, and never larger; nothing is cut off."""

    def __call__(self, image: Image.Image) -> UInt8[Tensor, "channel height width"]:
        """Convert and make smaller; each side has one pixel at least."""
        converted = image.convert("RGB")
        scale = min(self.width / converted.width, self.height / converted.height)
        if scale < 1:
            size = (max(1, round(converted.width * scale)), max(1, round(converted.height * scale)))
            converted = converted.resize(size, Image.Resampling.BOX)
        return torch.from_numpy(np.array(converted)).permute(2, 0, 1).contiguous()


SMALLEST = WholePicture(height=1, width=1, channels=3)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Original:
    """The bytes of an image file.

    Attributes:
        suffix: of what they are, whatever the file was called.
    """

    data: bytes
    suffix: str


class Pictures:
    """Reads and draws the images of an audit; safe from any thread.

    Args:
        allow_urls: whether images that are not on this machine are read.
    """

    def __init__(self, *, allow_urls: bool, limits: DecodingLimits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._reader = ItemReader(allow_urls=allow_urls, n_bytes=limits.n_bytes)

    def png(self, item: Item, side: int) -> bytes:
        """The image as PNG, neither side longer than `side`.

        Raises:
            NotFoundError: it cannot be had any more, or has changed since it was listed.
            InputError: it is no image that is decoded.
            OSError: the disk or the network failed.
        """
        [answer] = self._reader.read([item])
        if isinstance(answer, str):
            raise NotFoundError(answer)
        frame = WholePicture(height=side, width=side, channels=3)
        pixels = decode(answer, frame, self._limits)
        buffer = io.BytesIO()
        Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy()).save(buffer, "PNG")
        return buffer.getvalue()

    def originals(self, items: Sequence[Item]) -> Iterator[Original | str]:
        """The images as they lie in the source, in order; a text says why one cannot be had.

        What is no image, though the listing names it as one, is not handed out.

        Raises:
            OSError: the disk or the network failed.
        """
        for answer in self._reader.read(items):
            if isinstance(answer, str):
                yield answer
                continue
            try:
                decode(answer, SMALLEST, self._limits)
                yield Original(data=answer, suffix=_suffix(answer))
            except InputError as error:
                yield str(error)

    def close(self) -> None:
        """Let go of what is open."""
        self._reader.close()


def _suffix(data: bytes) -> str:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        return SUFFIXES.get(image.format or "", ".img")
