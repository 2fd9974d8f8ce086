"""Barriers between images of one class while a classifier is trained, from its first random weights on.

Vrabel et al. (ICLR 2025, arXiv 2409.05800) take connectivity for an effect of high dimension that is there before any
training, and find that in trained networks the paths are simple.
"""

import dataclasses
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from detector.passes import predicted_labels
from detector.search import SearchSettings
from detector.types import Classifier, LabelledImages, ProgressCallback, to_pixels
from models import training
from models.registry import RegisteredClassifier, registered
from models.training import TrainingRun, TrainingSettings
from service.devices import choose_device
from service.errors import InputError
from service.imagesets import load_image_set
from service.studies.bypassing import TWICE, barriers_of, bent, moves
from service.studies.report import StudyReport, StudyRequest
from service.studies.subject import Pairs, same_label_pairs, source_of
from service.studies.training_report import Snapshot, report_of

N_PAIRS = 32
MOST_TRAINING_IMAGES = 10_000
N_HELD_OUT = 1000
EPOCHS = {"digits": 12}
"""Passes over the training images; for the others, larger and slower, `EPOCHS_ELSE`."""

EPOCHS_ELSE = 3
SHARES = (1 / 64, 1 / 16, 1 / 4, 1 / 2, 1)
"""Parts of the training after which the network is looked at, besides before it."""

SEARCH = SearchSettings(budget=400, patience=32)


def run(request: StudyRequest, progress: ProgressCallback) -> StudyReport:
    """Train anew and measure the same pairs at every stage; `limit` counts pairs.

    Raises:
        InputError: images are missing or too few.
        ModelError: the classifier is not a registered one.
    """
    name = request.classifier or "cifar10-resnet20"
    if Path(name).suffix == ".toml":
        raise InputError("this study trains a classifier, and a spec does not say how; give a registered one")
    entry = registered(name)
    train = _read(request.train, entry, "train", MOST_TRAINING_IMAGES, progress)
    held_out = _read(request.held_out, entry, "held-out", N_HELD_OUT, progress)
    pairs = same_label_pairs(held_out, request.limit or N_PAIRS, request.seed)
    settings = dataclasses.replace(entry.training, epochs=EPOCHS.get(name, EPOCHS_ELSE), seed=request.seed)
    device = choose_device(request.device)
    snapshots = []
    for step, weights in trained_in_stages(entry, train, settings, device, progress).items():
        classifier = entry.untrained(settings.seed)
        classifier.network.load_state_dict(weights)
        snapshots.append(_looked_at(step, classifier.to(device).folded(), pairs, held_out, progress))
    facts = (
        ("classifier", f"{name}, trained anew"),
        ("training images", str(len(train))),
        ("epochs", str(settings.epochs)),
        ("pairs", str(len(pairs))),
        ("held-out images for the accuracy", str(len(held_out))),
    )
    return report_of(tuple(snapshots), facts, request.seed)


def trained_in_stages(
    entry: RegisteredClassifier,
    data: LabelledImages,
    settings: TrainingSettings,
    device: torch.device,
    progress: ProgressCallback,
) -> dict[int, dict[str, Tensor]]:
    """The network's state by the number of steps taken: before the first, and after the shares of the whole."""
    classifier = entry.untrained(settings.seed).to(device)
    n_steps = settings.epochs * (len(data) // settings.batch_size)
    wanted = {max(1, round(share * n_steps)) for share in SHARES}
    kept = {0: _copied(classifier.network.state_dict())}

    def watch(stage: str, done: int, total: int) -> None:
        if done in wanted:
            kept[done] = _copied(classifier.network.state_dict())
        progress(stage, done, total)

    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "checkpoint.safetensors"
        given = training.LabelledImages(images=data.images, labels=data.labels)
        TrainingRun(classifier, given, settings, checkpoint).run(watch)
    return kept


def _copied(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def _read(
    given: str | None, entry: RegisteredClassifier, part: str, limit: int, progress: ProgressCallback
) -> LabelledImages:
    source = source_of(given, entry.name, part)
    return load_image_set(source, entry.preprocessing, labels=entry.labels, limit=limit, progress=progress)


def _looked_at(
    step: int, classifier: Classifier, pairs: Pairs, held_out: LabelledImages, progress: ProgressCallback
) -> Snapshot:
    """Accuracy, straight barriers and bypasses under the pairs' true label, whatever the network makes of them."""
    result = bent(classifier, pairs, TWICE, SEARCH, progress)
    is_right = predicted_labels(classifier, to_pixels(held_out.images)) == held_out.labels
    return Snapshot(
        step=step,
        accuracy=is_right.double().mean().item(),
        straight=barriers_of(result.straight_barriers),
        bypassed=barriers_of(result.barriers),
        ends=result.straight_profiles[:, [0, -1]].amax(1).double().numpy(),
        moved=moves(result, pairs, SEARCH.flat)[0],
        flat=SEARCH.flat,
    )
