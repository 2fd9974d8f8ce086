"""scikit-learn's handwritten digits, which are installed with it."""

import torch

from detector.types import LabelledImages
from models.digits import load_digits_images
from models.preprocessing import Preprocessing
from service.errors import InputError
from service.imagesets.selection import evenly_spread

SOURCES = ("digits:train", "digits:held-out")


def is_digits(source: str) -> bool:
    """Whether a source means this data set and not a path."""
    return source in SOURCES


def load_digits(source: str, preprocessing: Preprocessing, *, limit: int | None) -> LabelledImages:
    """The 900 scans that the shipped classifier was trained on, or the 897 that it was not.

    Raises:
        InputError: the classifier takes images of another shape.
    """
    if (preprocessing.channels, preprocessing.height, preprocessing.width) != (1, 8, 8):
        raise InputError(
            f"the digits have 1 channel and 8×8 pixels, the classifier takes {preprocessing.channels} and "
            f"{preprocessing.height}×{preprocessing.width}; give images that it was made for"
        )
    parts = dict(zip(SOURCES, load_digits_images(), strict=True))
    data = LabelledImages(images=parts[source].images, labels=parts[source].labels)
    return data[torch.from_numpy(evenly_spread(len(data), limit))]
