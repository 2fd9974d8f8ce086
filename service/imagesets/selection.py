"""What all readers do alike: match labels, check them, choose images."""

import logging
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from detector.types import LabelledImages
from service.errors import InputError

logger = logging.getLogger(__name__)


def evenly_spread(n_images: int, limit: int | None) -> np.ndarray:
    """Choose at most `limit` of `n_images` indices, in order, spread evenly so that every class keeps its share."""
    if limit is None or limit >= n_images:
        return np.arange(n_images)
    if limit < 1:
        raise InputError(f"a limit of {limit} images leaves none; give at least 1")
    return np.arange(limit) * n_images // limit


def match_names(names: Sequence[str], labels: Sequence[str], source: str) -> list[int]:
    """Find the classifier's label of each class of an image set.

    By name where every name is one of the labels; in the order given where no name is and there are as many classes as
    labels. Anything between would be a guess.

    Returns:
        for each name, the index of its label.

    Raises:
        InputError: the classes cannot be matched.
    """
    indices = {_plain(label): index for index, label in enumerate(labels)}
    if len(indices) < len(labels) or len({_plain(name) for name in names}) < len(names):
        raise InputError(f"{source}: two labels or two classes have the same name; give each a name of its own")
    unknown = [name for name in names if _plain(name) not in indices]
    if not unknown:
        return [indices[_plain(name)] for name in names]
    if len(unknown) == len(names) == len(labels):
        logger.info("%s: no class has the name of a label; taking the classes in their order as the labels", source)
        return list(range(len(names)))
    raise InputError(
        f"{source}: {len(unknown)} of its {len(names)} classes are not among the classifier's {len(labels)} labels "
        f"({_some(unknown)} against {_some(labels)}); name every class as its label, "
        f"or give exactly {len(labels)} classes in the order of the labels"
    )


def checked_labels(values: np.ndarray, n_labels: int, source: str) -> np.ndarray:
    """Make int64 labels of an array.

    Raises:
        InputError: the labels are not one axis of integers, or lie outside the classifier's.
    """
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise InputError(
            f"{source}: labels are {values.dtype} of shape {values.shape}; one axis of whole numbers was expected"
        )
    wrong = np.flatnonzero((values < 0) | (values >= n_labels))
    if len(wrong):
        raise InputError(
            f"{source}: the label of image {wrong[0]} is {values[wrong[0]]}, and {len(wrong)} of {len(values)} labels "
            f"lie outside the classifier's, which go from 0 to {n_labels - 1}"
        )
    return values.astype(np.int64)


def labelled_images(images: Sequence[Tensor] | Tensor, labels: np.ndarray, source: str) -> LabelledImages:
    """Put decoded images and their labels together.

    Raises:
        InputError: there are none.
    """
    if len(images) == 0:
        raise InputError(f"{source} holds no image")
    stacked = images if isinstance(images, Tensor) else torch.stack(list(images))
    return LabelledImages(images=stacked, labels=torch.from_numpy(labels.astype(np.int64)))


def _plain(name: str) -> str:
    return name.strip().casefold().replace("_", " ")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
