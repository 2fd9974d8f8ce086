"""Soft trees trained on the digits, and inputs that a classifier takes for one of them."""

import dataclasses
import tempfile
from pathlib import Path

from torch import Generator

from detector.search import SearchSettings
from detector.types import Classifier, ProgressCallback
from models.classifier import Classifier as TrainableClassifier
from models.digits import load_digits_images
from models.registry import registered
from models.soft_trees import SoftTrees
from models.training import TrainingRun, TrainingSettings, initialised
from service.studies.subject import Pairs
from service.studies.untrained_networks import optimised_inputs, paired_labels


@dataclasses.dataclass(frozen=True, kw_only=True)
class SoftTreeSettings:
    """What is trained and searched.

    Attributes:
        pairs: of scans.
        optimised_pairs: of inputs made from noise.
        low: highest loss of an optimised input, in nats.
        flat: barrier that counts as none, in nats.
        budget: forward equivalents for each path and bypass.
        seed: of first weights, batches, noise and pairs.
    """

    n_trees: int = 64
    depth: int = 4
    epochs: int = 30
    pairs: int = 128
    optimised_pairs: int = 64
    most_steps: int = 400
    low: float = 0.01
    flat: float = 0.01
    budget: int = 800
    seed: int = 0

    @property
    def search(self) -> SearchSettings:
        """A path that waits for the level at which both legs bend has not stalled, hence the patience."""
        return SearchSettings(budget=self.budget, flat=self.flat, patience=24)


def trained_trees(settings: SoftTreeSettings, progress: ProgressCallback) -> TrainableClassifier:
    """Soft trees after their training on the digits."""
    entry = registered("digits")
    training, _ = load_digits_images()
    channels, height, width = entry.input_shape

    def planted() -> SoftTrees:
        return SoftTrees(channels * height * width, n_trees=settings.n_trees, depth=settings.depth)

    classifier = TrainableClassifier(
        initialised(planted, settings.seed),
        mean=entry.mean,
        std=entry.std,
        representations=("decisions", "routing"),
        labels=entry.labels,
        input_shape=entry.input_shape,
    )
    schedule = TrainingSettings(
        epochs=settings.epochs,
        batch_size=64,
        peak_learning_rate=0.5,
        weight_decay=1e-4,
        crop_padding=0,
        flip=False,
        seed=settings.seed,
    )
    with tempfile.TemporaryDirectory() as folder:
        TrainingRun(classifier, training, schedule, Path(folder) / "trees.safetensors").run(progress)
    return classifier


def optimised_pairs(classifier: Classifier, settings: SoftTreeSettings) -> Pairs:
    """Pairs of inputs optimised to one label, labels taking turns; those of which one does not get low are left out."""
    labels = paired_labels(settings.optimised_pairs, len(classifier.labels))
    inputs, losses = optimised_inputs(
        classifier,
        labels.repeat_interleave(2),
        low=settings.low,
        most_steps=settings.most_steps,
        generator=Generator().manual_seed(settings.seed),
    )
    is_made = (losses <= settings.low).view(-1, 2).all(1)
    made = inputs.view(-1, 2, *classifier.input_shape)[is_made]
    return Pairs(starts=made[:, 0], ends=made[:, 1], labels=labels[is_made])
