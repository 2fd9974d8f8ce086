"""Classifier inputs and image files that the tests of the service share."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from models.preprocessing import Preprocessing


@pytest.fixture
def colour() -> Preprocessing:
    return Preprocessing(height=8, width=8, channels=3)


@pytest.fixture
def gray() -> Preprocessing:
    return Preprocessing(height=8, width=8, channels=1)


@pytest.fixture
def encoded() -> Callable[..., bytes]:
    def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        return buffer.getvalue()

    return encode


@pytest.fixture
def noise() -> Image.Image:
    """A picture of 64 × 64 that does not compress, so that cutting its file cuts its pixels."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
