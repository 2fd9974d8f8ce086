"""Images judged in steps of a size that is asked for, as the server takes them."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import torch
from torch import Generator

from detector.detector import Detector
from detector.inspection import Inspection
from detector.types import Images, to_pixels
from models.preprocessing import Preprocessing
from service.bench.contenders import RATE, Opened
from service.bench.forward_rate import wait_for
from service.imagesets import load_image_set

FEWEST_REAL_IMAGES = 128
"""Of an image set, or how many leave early would hang on a handful."""


def inspect_in_steps(detector: Detector, images: Images, images_per_step: int) -> None:
    """What `Detector.inspect` does, so many images a step."""
    inspection, n_begun = Inspection(detector, images_per_step), 0
    while n_begun < len(images) or not inspection.is_idle:
        rows = range(n_begun, min(n_begun + inspection.n_free, len(images)))
        inspection.admit(rows, images[rows.start : rows.stop], [RATE] * len(rows))
        n_begun = rows.stop
        inspection.step()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """What a contender is given in one entry of a timing."""

    images: Images
    images_per_step: int
    run: Callable[[], None]


def works_of(opened: Sequence[Opened], source: str | None, batch: int | None) -> dict[str, Work]:
    """The work of each contender, by its name; an image set is read once for all that take it alike.

    Raises:
        InputError: the image set cannot be read.
    """
    read: dict[tuple[Preprocessing, tuple[str, ...], int], Images] = {}
    works = {}
    for one in opened:
        step, n_images = _extent(one, source, batch)
        key = one.preprocessing, one.classifier.labels, n_images
        if key not in read:
            read[key] = images_for(one, source, n_images)
        works[one.contender.name] = _work(one, read[key], step, batch)
    return works


def work_of(opened: Opened, source: str | None, batch: int | None) -> Work:
    """Whole steps of images: one of noise, or several of an image set.

    Args:
        source: an image set; noise if not given.
        batch: images of one step; the detector's own number if not given.

    Raises:
        InputError: the image set cannot be read.
    """
    return works_of([opened], source, batch)[opened.contender.name]


def _extent(opened: Opened, source: str | None, batch: int | None) -> tuple[int, int]:
    """Images of a step, and of all steps."""
    step = batch or opened.detector.images_per_step
    return step, step if source is None else step * math.ceil(FEWEST_REAL_IMAGES / step)


def _work(opened: Opened, images: Images, step: int, batch: int | None) -> Work:
    detector = opened.detector

    def run() -> None:
        if batch is None:
            detector.inspect(images)
        else:
            inspect_in_steps(detector, images, batch)
        wait_for(detector.classifier.device)

    return Work(images=images, images_per_step=step, run=run)


def images_for(opened: Opened, source: str | None, n_images: int) -> Images:
    """Noise from one seed, or images of a set, evenly spread over it; fewer where it has fewer."""
    shape = opened.classifier.input_shape
    if source is None:
        return torch.rand(n_images, *shape, generator=Generator().manual_seed(1))
    labels = opened.classifier.labels
    return to_pixels(load_image_set(source, opened.preprocessing, labels=labels, limit=n_images).images)
