"""Which reader a source belongs to."""

from collections.abc import Sequence
from pathlib import Path

from detector.types import LabelledImages, ProgressCallback, no_progress
from models.preprocessing import Preprocessing
from service.errors import InputError
from service.imagesets.cifar10 import is_cifar10, load_cifar10
from service.imagesets.digits import is_digits, load_digits
from service.imagesets.folders import load_folder
from service.imagesets.npz import load_npz
from service.imagesets.parquet import load_parquet


def load_image_set(
    source: str,
    preprocessing: Preprocessing,
    *,
    labels: Sequence[str],
    limit: int | None = None,
    download: bool = False,
    progress: ProgressCallback = no_progress,
) -> LabelledImages:
    """Read labelled images and bring them to the size a classifier takes.

    Args:
        source: a folder of class folders; an `.npz` with `images` (uint8 of shape (image, height, width, channel), of
            the classifier's size) and `labels`; a Parquet file with the columns `image` (encoded) and `label`; or
            `cifar10`, `cifar10:train`, `cifar10:test`; or `digits:train`, `digits:held-out`.
        preprocessing: how encoded images are resized and cropped.
        labels: the classifier's labels; names of classes are matched to them.
        limit: read at most so many images, evenly spread over the source.
        download: whether `cifar10` may be fetched from the internet.
        progress: told of every image that is decoded.

    Raises:
        InputError: the source is missing, empty or damaged, or does not fit the classifier.
    """
    if is_cifar10(source):
        return load_cifar10(source, preprocessing, labels=labels, limit=limit, download=download, progress=progress)
    if is_digits(source):
        return load_digits(source, preprocessing, limit=limit)
    path = Path(source)
    if path.is_dir():
        return load_folder(path, preprocessing, labels=labels, limit=limit, progress=progress)
    if not path.exists():
        raise InputError(
            f"{source} does not exist; give a folder of class folders, an .npz or Parquet file, or cifar10"
        )
    if path.suffix == ".npz":
        return load_npz(path, preprocessing, labels=labels, limit=limit)
    if path.suffix in (".parquet", ".pq"):
        return load_parquet(path, preprocessing, labels=labels, limit=limit, progress=progress)
    raise InputError(
        f"{source} is not a kind of image set that can be read; give a folder of class folders, or a file whose name "
        "ends in .npz or .parquet"
    )
