"""A folder that holds one folder of image files a class."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from detector.types import LabelledImages, ProgressCallback
from models.preprocessing import Preprocessing
from service.errors import InputError
from service.images import read_image
from service.imagesets.selection import evenly_spread, labelled_images, match_names

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".avif"}
)


def load_folder(
    folder: Path,
    preprocessing: Preprocessing,
    *,
    labels: Sequence[str],
    limit: int | None,
    progress: ProgressCallback,
) -> LabelledImages:
    """Read every image file under the class folders; hidden files and files of other kinds are passed over.

    Raises:
        InputError: there is no class folder or no image, the classes do not fit the labels, or an image is damaged.
    """
    classes = sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
    if not classes:
        raise InputError(f"{folder} holds no class folders; put the images of each class in a folder of its name")
    indices = match_names([child.name for child in classes], labels, str(folder))
    files = [(path, label) for child, label in zip(classes, indices, strict=True) for path in _image_files(child)]
    chosen = [files[index] for index in evenly_spread(len(files), limit)]
    images = []
    for done, (path, _) in enumerate(chosen, start=1):
        images.append(read_image(path, preprocessing))
        progress(f"reading {folder.name}", done, len(chosen))
    return labelled_images(images, np.array([label for _, label in chosen], dtype=np.int64), str(folder))


def _image_files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
