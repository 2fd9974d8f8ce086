"""Images as one numpy array."""

import logging
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from detector.types import LabelledImages
from models.preprocessing import Preprocessing
from service.errors import InputError
from service.imagesets.selection import checked_labels, evenly_spread, labelled_images, match_names

logger = logging.getLogger(__name__)


def load_npz(path: Path, preprocessing: Preprocessing, *, labels: Sequence[str], limit: int | None) -> LabelledImages:
    """Read `images` (uint8 of shape (image, height, width, channel)) and `labels`, and what may come with them.

    `classes` names the labels of the file; `exact` marks the images to be used.

    Raises:
        InputError: the file is damaged or lacks an array, or the arrays do not fit each other or the classifier.
    """
    arrays = _read_arrays(path)
    images, values = arrays["images"], arrays["labels"]
    for name in ("labels", "classes"):
        if name in arrays and arrays[name].ndim != 1:
            raise InputError(f"{path}: {name} has {arrays[name].ndim} axes; one entry an image or a class was expected")
    _check_images(images, preprocessing, path)
    if len(images) != len(values):
        raise InputError(f"{path} holds {len(images)} images and {len(values)} labels; one label an image was expected")
    if "classes" in arrays:
        names = [str(name) for name in arrays["classes"]]
        values = checked_labels(values, len(names), str(path))
        values = np.array(match_names(names, labels, str(path)), dtype=np.int64)[values]
    else:
        values = checked_labels(values, len(labels), str(path))
    usable = np.arange(len(images))
    if "exact" in arrays:
        usable = _exact(arrays["exact"], len(images), path)
    chosen = usable[evenly_spread(len(usable), limit)]
    pixels = torch.from_numpy(np.ascontiguousarray(images[chosen].transpose(0, 3, 1, 2)))
    return labelled_images(pixels, values[chosen], str(path))


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
        with np.load(path, allow_pickle=False) as stored:
            arrays: dict[str, np.ndarray] = {
                name: stored[name] for name in ("images", "labels", "classes", "exact") if name in names
            }
    # What a damaged archive raises depends on where it is damaged; ValueError is also what pickled arrays raise.
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, KeyError, NotImplementedError) as error:
        raise InputError(
            f"{path} is not an intact .npz of plain arrays ({' '.join(str(error).split())}); "
            "write it with numpy.savez(images=…, labels=…)"
        ) from error
    missing = [name for name in ("images", "labels") if name not in arrays]
    if missing:
        raise InputError(
            f"{path} has no array {' and no array '.join(missing)}; it holds {', '.join(sorted(names)) or 'nothing'}"
        )
    return arrays


def _check_images(images: np.ndarray, preprocessing: Preprocessing, path: Path) -> None:
    channels, height, width = preprocessing.channels, preprocessing.height, preprocessing.width
    if images.dtype != np.uint8 or images.ndim != 4:
        raise InputError(
            f"{path}: images are {images.dtype} of shape {images.shape}; uint8 of shape "
            f"(image, {height}, {width}, {channels}) was expected"
        )
    if images.shape[1:] != (height, width, channels):
        raise InputError(
            f"{path}: images have (height, width, channel) = {images.shape[1:]}, and the classifier takes "
            f"{(height, width, channels)}; resize them, or give the image files themselves"
        )


def _exact(exact: np.ndarray, n_images: int, path: Path) -> np.ndarray:
    if exact.dtype != np.bool_ or exact.shape != (n_images,):
        raise InputError(
            f"{path}: exact is {exact.dtype} of shape {exact.shape}; a truth value an image ({n_images}) was expected"
        )
    left_out = int(n_images - exact.sum())
    if left_out:
        logger.info("%s: %d of %d images are marked as not exact and left out", path, left_out, n_images)
    return np.flatnonzero(exact)
