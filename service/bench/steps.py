"""Images judged in steps of a size that is asked for, as the server takes them."""

import dataclasses
import math
from collections.abc import Callable

import torch
from torch import Generator

from detector.detector import Detector
from detector.inspection import Inspection
from detector.types import Images, to_pixels
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


def work_of(opened: Opened, source: str | None, batch: int | None, limit: int | None = None) -> Work:
    """Whole steps of images: one of noise, or several of an image set.

    Args:
        source: an image set; noise if not given.
        batch: images of one step; the detector's own number if not given.
        limit: at most so many images, even if that is less than a step.

    Raises:
        InputError: the image set cannot be read.
    """
    detector = opened.detector
    step = batch or detector.images_per_step
    n_images = step if source is None else step * math.ceil(FEWEST_REAL_IMAGES / step)
    images = images_for(opened, source, min(n_images, limit or n_images))

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
