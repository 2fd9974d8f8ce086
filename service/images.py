"""From the bytes of an image file to the pixels a classifier takes.

Formats are named rather than left to Pillow, whose full list holds some that run other programs (EPS) and many that
nobody sends.
"""

import dataclasses
import hashlib
import io
import warnings
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from PIL import Image, ImageFile, ImageOps, PngImagePlugin, UnidentifiedImageError
from torch import Tensor

from models.preprocessing import Preprocessing
from service.errors import InputError, one_line

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")

# Pillow warns where a file is damaged but can be guessed at; the pixels scored must not be a guess. Set once and for
# Pillow alone: warnings.catch_warnings is not safe where other threads decode or compute at the same time.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
warnings.filterwarnings("error", category=UserWarning, module=r"PIL\.")

# A PNG may carry compressed text, which is inflated although nobody reads it: 200 KB could cost 0.4 s.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = 2**20

DIGEST_DIGITS = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecodingLimits:
    """What is refused before it costs memory.

    Attributes:
        n_bytes: largest file, in bytes.
        n_pixels: largest width × height that the header may announce.
        aspect_ratio: largest ratio of the longer side to the shorter.
    """

    n_bytes: int = 32 * 2**20
    n_pixels: int = 50_000_000
    aspect_ratio: int = 100


DEFAULT_LIMITS = DecodingLimits()


def read_image(path: Path, preprocessing: Preprocessing, limits: DecodingLimits = DEFAULT_LIMITS) -> Tensor:
    """Decode an image file; see `decode`. The error names the file.

    Raises:
        InputError: the file is missing, is not a file, cannot be read, or cannot be decoded.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limits.n_bytes + 1)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; give the path of an image file") from error
    try:
        return decode(data, preprocessing, limits)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def decode(data: bytes, preprocessing: Preprocessing, limits: DecodingLimits = DEFAULT_LIMITS) -> Tensor:
    """Decode the first frame of an encoded image, turned as its EXIF says, transparency laid over white.

    Returns:
        uint8 of shape (channel, height, width), resized and cropped as `preprocessing` says.

    Raises:
        InputError: the bytes are empty, too many, not an image, damaged, or announce too many pixels.
    """
    if not data:
        raise InputError("the file is empty; an image was expected")
    if len(data) > limits.n_bytes:
        raise InputError(f"the file is larger than {limits.n_bytes} bytes; make the image smaller")
    # Another library may have asked Pillow to fill in what is missing from truncated files.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as file:
            _check_size(file, limits)
            return preprocessing(_eight_bit(ImageOps.exif_transpose(file)))
    except InputError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"the image has more than {limits.n_pixels} pixels; make it smaller") from error
    except UnidentifiedImageError as error:
        raise InputError(f"not an image that can be decoded; give one of {', '.join(FORMATS)}") from error
    # A damaged file may make Pillow raise nearly anything: OSError, SyntaxError, struct.error, zlib.error, IndexError.
    except Exception as error:
        raise InputError(f"the image is damaged ({one_line(error)}); give an intact file") from error


def pixel_digest(pixels: Shaped[Tensor, "channel height width"]) -> str:
    """The first digits of the sha256 over an image's pixels, as they are judged: uint8 or float32."""
    return hashlib.sha256(pixels.contiguous().numpy().data).hexdigest()[:DIGEST_DIGITS]


def _check_size(file: Image.Image, limits: DecodingLimits) -> None:
    width, height = file.size
    # The shorter side is resized to the classifier's, so a thin strip of few pixels would become one of very many.
    if max(width, height) > limits.aspect_ratio * min(width, height):
        raise InputError(
            f"the image has {width} × {height} pixels, and sides of at most {limits.aspect_ratio} to 1 are decoded; "
            "cut it to the part that matters"
        )
    if width * height > limits.n_pixels:
        raise InputError(
            f"the image has {width} × {height} pixels and at most {limits.n_pixels} are decoded; make it smaller"
        )


def _eight_bit(image: Image.Image) -> Image.Image:
    """Bring any mode to L or RGB with eight bits a channel."""
    if image.mode == "F":
        raise InputError("the image has floating-point pixels, whose range is not known; give 8 or 16 bits a channel")
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _from_sixteen_bits(np.asarray(image))
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        white = Image.new("RGBA", coloured.size, "white")
        return Image.alpha_composite(white, coloured).convert("RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _from_sixteen_bits(values: np.ndarray) -> Image.Image:
    # Pillow's own conversion of gray cuts off at 255; of colour it keeps the upper eight bits, as here.
    if values.min() < 0 or values.max() > 65535:
        raise InputError(
            f"the image has gray values from {values.min()} to {values.max()}; 16 bits end at 65535, "
            "give 8 or 16 bits a channel"
        )
    return Image.fromarray((values.astype(np.uint32) >> 8).astype(np.uint8))
