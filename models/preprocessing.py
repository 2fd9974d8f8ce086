"""From a decoded image to the pixels a classifier takes: mode, shorter side, centre crop."""

import enum
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from pydantic import BaseModel, ConfigDict, PositiveInt, ValidationError, model_validator
from torch import Tensor

from models.errors import ModelError, one_line

VERSION = 1
"""Of the steps themselves; goes up when they give other pixels for the same image."""


class Interpolation(enum.Enum):
    """How pixels between pixels are found; all but NEAREST average over what they shrink."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    LANCZOS = "lanczos"


class Preprocessing(BaseModel):
    """What happens to an image before a classifier sees it.

    Attributes:
        height, width: of the centre crop, which is what the classifier takes.
        channels: 3 for RGB, 1 for grey.
        resize_shorter: the shorter side before the crop; by default the image is made just large enough for the crop.
        interpolation: used when the size changes.
        version: of the steps that are meant; those of other versions are not to be had here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    height: PositiveInt
    width: PositiveInt
    channels: int
    resize_shorter: PositiveInt | None = None
    interpolation: Interpolation = Interpolation.BILINEAR
    version: int = VERSION

    @model_validator(mode="after")
    def _fits_together(self) -> "Preprocessing":
        if self.version != VERSION:
            raise ValueError(
                f"version {self.version} of the steps is meant, and version {VERSION} is known here; other pixels "
                "would come out, so take the release that it was made with"
            )
        if self.channels not in (1, 3):
            raise ValueError(f"images have 3 channels (RGB) or 1 (grey), not {self.channels}")
        if self.resize_shorter is not None and self.resize_shorter < min(self.height, self.width):
            raise ValueError(
                f"resizing the shorter side to {self.resize_shorter} leaves too little for a crop of "
                f"{self.height}×{self.width}; resize to at least {min(self.height, self.width)}"
            )
        return self

    @classmethod
    def from_dict(cls, stored: Mapping[str, object]) -> "Preprocessing":
        """Read what `to_dict` gave; without a version the first is meant.

        Raises:
            ModelError: a key is missing, unknown or out of range.
        """
        try:
            return cls.model_validate({"version": 1} | dict(stored))
        except ValidationError as error:
            raise ModelError(f"this is no preprocessing: {one_line(error)}") from error

    def to_dict(self) -> dict[str, object]:
        """As JSON takes it."""
        return self.model_dump(mode="json")

    def __call__(self, image: Image.Image) -> UInt8[Tensor, "channel height width"]:
        """Convert, resize and crop; an image that has the right size already keeps its pixels exactly.

        Transparency is dropped, and 16-bit grey loses its lower 8 bits.

        Raises:
            ModelError: the image is of a mode without a fixed range of values.
        """
        converted = _converted(image, "RGB" if self.channels == 3 else "L")
        if converted.size != (self.width, self.height):
            converted = self._cropped(self._resized(converted))
        pixels = torch.from_numpy(np.array(converted)).view(self.height, self.width, self.channels)
        return pixels.permute(2, 0, 1).contiguous()

    def _resized(self, image: Image.Image) -> Image.Image:
        scale = max(self.width / image.width, self.height / image.height)
        if self.resize_shorter is not None:
            scale = max(scale, self.resize_shorter / min(image.size))
        size = (max(self.width, round(image.width * scale)), max(self.height, round(image.height * scale)))
        return image.resize(size, Image.Resampling[self.interpolation.name]) if size != image.size else image

    def _cropped(self, image: Image.Image) -> Image.Image:
        left = (image.width - self.width) // 2
        top = (image.height - self.height) // 2
        return image.crop((left, top, left + self.width, top + self.height))


def _converted(image: Image.Image, mode: str) -> Image.Image:
    if image.mode == mode:
        return image
    if image.mode.startswith("I;16"):
        # Pillow clips 16-bit grey to 255 where it should scale it.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise ModelError(
            f"an image of mode {image.mode!r} has no fixed range of values; save it with 8 or 16 bits a channel"
        )
    elif image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert(mode)
