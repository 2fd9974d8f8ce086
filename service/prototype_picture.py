"""A bundle's prototypes as one picture: a row for each label, a column for each prototype."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from detector.bundle import Bundle
from detector.prototypes.prototype_set import PrototypeSet
from models.files import replace_atomically
from service.console import printable
from service.errors import InputError

CELL = 64
"""Longer side of a prototype in the picture, in pixels; small ones are enlarged, large ones reduced."""

GAP = 4
FONT_SIZE = 14
PAPER, INK = "white", "navy"


def write_prototypes(bundle: Bundle, path: Path) -> None:
    """Draw the prototypes of a bundle into a PNG file, which is whole or not there at all.

    Raises:
        InputError: the bundle has no prototypes, or the file is not to be called .png.
    """
    if bundle.prototypes.n_prototypes == 0:
        raise InputError("the bundle has no prototypes to draw; name one whose paths end somewhere")
    if path.suffix.lower() != ".png":
        raise InputError(f"the picture is written as PNG, and {path} is not called so; give a name that ends in .png")
    picture = prototype_picture(bundle.prototypes, bundle.record.labels)
    with replace_atomically(path) as temporary:
        picture.save(temporary, "PNG")


def prototype_picture(prototypes: PrototypeSet, labels: Sequence[str]) -> Image.Image:
    """The picture: names on the left, kinds above; labels without prototypes say so."""
    font = ImageFont.load_default(FONT_SIZE)
    names = [printable(name) for name in labels]
    first = GAP + max(round(font.getlength(name)) for name in names) + GAP
    kinds = [f"{number} {kind}" for number, kind in enumerate(prototypes.kinds)]
    cell = _size(prototypes.images.shape[-2:])
    pitch = (max(cell[0], *(round(font.getlength(kind)) for kind in kinds)) + GAP, max(cell[1], FONT_SIZE + GAP) + GAP)
    top = GAP + FONT_SIZE + GAP
    picture = Image.new("RGB", (first + pitch[0] * len(kinds), top + pitch[1] * len(names)), PAPER)
    drawing = ImageDraw.Draw(picture)
    for column, kind in enumerate(kinds):
        drawing.text((first + pitch[0] * column, GAP / 2), kind, INK, font)
    for row, name in enumerate(names):
        below = top + pitch[1] * row
        drawing.text((GAP, below + (cell[1] - FONT_SIZE) / 2), name, INK, font)
        if not prototypes.available[row]:
            drawing.text((first, below + (cell[1] - FONT_SIZE) / 2), "no prototype", INK, font)
            continue
        for column, image in enumerate(prototypes.images[row]):
            picture.paste(_shown(image, cell), (first + pitch[0] * column, below))
    return picture


def _size(shape: torch.Size) -> tuple[int, int]:
    """Width and height of a prototype in the picture."""
    height, width = shape
    scale = CELL / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _shown(image: UInt8[Tensor, "channel height width"], size: tuple[int, int]) -> Image.Image:
    # Two channels or more than three have no colours to show.
    channels = image if len(image) == 3 else image.float().mean(0).round().to(torch.uint8).expand(3, -1, -1)
    whole = Image.fromarray(channels.permute(1, 2, 0).contiguous().numpy())
    enlarges = size[0] >= whole.width
    return whole.resize(size, Image.Resampling.NEAREST if enlarges else Image.Resampling.BOX)
