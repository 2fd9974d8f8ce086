"""Trains a registered classifier on images that a user names."""

import dataclasses
import functools
import logging
from pathlib import Path

from detector.types import LabelledImages
from models import training
from models.registry import registered
from models.training_cards import train_registered
from service.console import results
from service.devices import choose_device
from service.imagesets import load_image_set
from service.progress import progress_bars

logger = logging.getLogger(__name__)


def run_training(
    name: str, *, data: str, test: str, out: Path, epochs: int | None, seed: int, device: str | None, download: bool
) -> None:
    """Train, and write the weights and what was measured with them.

    Raises:
        InputError: an image set cannot be read.
        ModelError: there is no such classifier, or it cannot be trained.
    """
    entry = registered(name)
    chosen_device = choose_device(device)
    settings = dataclasses.replace(
        entry.training, seed=seed, epochs=entry.training.epochs if epochs is None else epochs
    )
    with progress_bars() as progress:
        read = functools.partial(
            load_image_set, preprocessing=entry.preprocessing, labels=entry.labels, download=download, progress=progress
        )
        train_images, test_images = _for_training(read(data)), _for_training(read(test))
        try:
            card = train_registered(
                name,
                train_images,
                test_images,
                out,
                settings=settings,
                progress=progress,
                device=chosen_device,
            )
        except KeyboardInterrupt:
            logger.info("the same command goes on from the last finished epoch, which is kept in %s", out)
            raise
    results.print(f"{name}: {card.accuracy:.2%} of {card.n_test} test images right, in {out}", markup=False)


def _for_training(images: LabelledImages) -> training.LabelledImages:
    return training.LabelledImages(images=images.images, labels=images.labels)
