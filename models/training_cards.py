"""Training of a registered classifier from images to weight file and card."""

import dataclasses
import datetime
import hashlib
import tempfile
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from models.adversarial_training import AdversarialTraining
from models.cards import TrainingCard, write_card
from models.classifier import Classifier
from models.errors import ModelError, one_line
from models.files import replace_atomically
from models.loaded import parse_device
from models.registry import RegisteredClassifier, card_beside, load_untouched, registered
from models.training import (
    LabelledImages,
    ProgressCallback,
    TrainingRun,
    TrainingSettings,
    accuracy,
    robust_accuracy,
)
from models.weight_files import fit_weights


def no_progress(stage: str, done: int, total: int) -> None:
    """Report to nobody."""


def train_registered(
    name: str,
    train: LabelledImages,
    test: LabelledImages,
    out: Path,
    *,
    settings: TrainingSettings | None = None,
    progress: ProgressCallback = no_progress,
    device: str | torch.device = "cpu",
    date: datetime.date | None = None,
) -> TrainingCard:
    """Train a registered classifier and write OUT/NAME.safetensors (half precision) and its card OUT/NAME.json.

    An interrupted run leaves OUT/NAME.checkpoint.safetensors, and the same call continues from there.

    Args:
        name: one of `registry.names()`.
        train, test: images to learn from, and images that the card's accuracy is measured on.
        out: folder of the results; made if need be.
        settings: `registered(name).training` if not given.
        date: written on the card; today (UTC) if not given.

    Raises:
        ModelError: images do not fit the classifier, `out` cannot be written, training diverged, or a checkpoint of
            other settings or images is in the way.
    """
    entry = registered(name)
    target = parse_device(device)
    settings = settings or entry.training
    for images, role in ((train, "training"), (test, "test")):
        _check_images(images, entry, role)
    _check_writable(out)
    checkpoint = out / f"{name}.checkpoint.safetensors"
    run = TrainingRun(_at_first(entry, settings.seed).to(target), train, settings, checkpoint)
    run.run(progress)
    weights_file = out / f"{name}.safetensors"
    stored = safetensors.torch.save(_half_precision(run.classifier))
    reloaded = entry.untrained(settings.seed)
    fit_weights(reloaded.network, safetensors.torch.load(stored), weights_file)
    measured = reloaded.to(target).folded()
    card = TrainingCard(
        name=name,
        accuracy=accuracy(measured, test),
        robust_accuracy=_robust_accuracy(measured, test, settings),
        n_train=len(train),
        n_test=len(test),
        settings=dataclasses.asdict(settings),
        seed=settings.seed,
        train_digest=train.digest(),
        test_digest=test.digest(),
        sha256=hashlib.sha256(stored).hexdigest(),
        torch=str(torch.__version__),
        training_seconds=round(run.seconds, 1),
        date=date or datetime.datetime.now(datetime.UTC).date(),
    )
    with replace_atomically(weights_file) as temporary:
        temporary.write_bytes(stored)
    write_card(card, card_beside(weights_file))
    checkpoint.unlink(missing_ok=True)
    return card


def _at_first(entry: RegisteredClassifier, seed: int) -> Classifier:
    """What training starts from."""
    return entry.untrained(seed) if entry.starts_from is None else load_untouched(entry.starts_from)


def _robust_accuracy(classifier: Classifier, test: LabelledImages, settings: TrainingSettings) -> float | None:
    if settings.adversarial is None:
        return None
    attack = AdversarialTraining(radius=settings.adversarial.radius, steps=20, step_size=0.125)
    first = LabelledImages(images=test.images[:1000], labels=test.labels[:1000])
    return robust_accuracy(classifier, first, attack)


def _check_images(images: LabelledImages, entry: RegisteredClassifier, role: str) -> None:
    if len(images) == 0:
        raise ModelError(f"there are no {role} images; give at least one")
    shape = tuple(images.images.shape[1:])
    if shape != entry.input_shape:
        raise ModelError(
            f"{entry.name} takes images of shape {entry.input_shape} (channel, height, width), "
            f"but the {role} images have {shape}"
        )
    lowest, highest = int(images.labels.min()), int(images.labels.max())
    if lowest < 0 or highest >= len(entry.labels):
        raise ModelError(
            f"the labels of {entry.name} go from 0 to {len(entry.labels) - 1}, "
            f"but those of the {role} images go from {lowest} to {highest}"
        )


def _check_writable(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise ModelError(f"the output folder {out} cannot be written ({one_line(error)}); give another") from error


def _half_precision(classifier: Classifier) -> dict[str, Tensor]:
    halves = {}
    for name, tensor in classifier.network.state_dict().items():
        half = tensor.half() if tensor.is_floating_point() else tensor
        if not half.isfinite().all():
            raise ModelError(
                f"the weight {name!r} is not finite in half precision; train with a lower peak learning rate"
            )
        halves[name] = half.detach().cpu().contiguous()
    return halves
