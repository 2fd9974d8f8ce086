"""CIFAR-10 through torchvision, fetched once and only when asked."""

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from detector.types import LabelledImages, ProgressCallback
from models.preprocessing import Preprocessing
from models.torchvision_support import import_torchvision
from service.errors import InputError
from service.imagesets.selection import evenly_spread, labelled_images, match_names

SPLITS = {"cifar10": True, "cifar10:train": True, "cifar10:test": False}
"""Whether the word means the training images."""


def is_cifar10(source: str) -> bool:
    """Say whether a source is the word and not a path; a folder of that name is given as ./cifar10."""
    return source in SPLITS


def load_cifar10(
    source: str,
    preprocessing: Preprocessing,
    *,
    labels: Sequence[str],
    limit: int | None,
    download: bool,
    progress: ProgressCallback,
) -> LabelledImages:
    """Read CIFAR-10 from the cache, filling it first where `download` allows.

    Raises:
        InputError: the images are not in the cache and may not or cannot be fetched, or the labels do not fit.
    """
    folder = cache_folder()
    dataset = open_dataset(folder, train=SPLITS[source], download=download)
    indices = np.array(match_names(dataset.classes, labels, source), dtype=np.int64)
    chosen = evenly_spread(len(dataset.data), limit)
    images = []
    for done, index in enumerate(chosen, start=1):
        images.append(preprocessing(Image.fromarray(dataset.data[index])))
        progress(f"reading {source}", done, len(chosen))
    return labelled_images(images, indices[np.array(dataset.targets)[chosen]], source)


def cache_folder() -> Path:
    """Say where downloads are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "isthmus"


def open_dataset(folder: Path, *, train: bool, download: bool) -> Any:
    """Open torchvision's data set, which checks the md5 of every file it reads.

    Raises:
        InputError: the images are not there, or could not be fetched.
    """
    datasets = import_torchvision().datasets
    try:
        # torchvision reports its download on stdout, where only results belong.
        with contextlib.redirect_stdout(sys.stderr):
            return datasets.CIFAR10(folder, train=train, download=download)
    except (OSError, RuntimeError) as error:
        if download:
            raise InputError(
                f"CIFAR-10 could not be fetched ({' '.join(str(error).split())}); go online, or give an .npz, a "
                "Parquet file or a folder of class folders"
            ) from error
        raise InputError(
            f"CIFAR-10 is not in {folder}; add --download to fetch it from the internet, or give an .npz, a Parquet "
            "file or a folder of class folders"
        ) from error
