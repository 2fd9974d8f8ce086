"""The classifiers that are shipped: everything about them but their weights, which lie in `weights/`.

`weights/NAME.safetensors` holds the weights, `weights/NAME.json` the card with their sha256 and measured accuracy. A
classifier is complete as soon as both are there.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from models.adversarial_training import AdversarialTraining
from models.cards import TrainingCard, read_card
from models.classifier import Classifier
from models.digits import digits_network
from models.errors import ModelError
from models.files import file_digest
from models.layout import in_channels_last
from models.loaded import LoadedClassifier, parse_device
from models.preprocessing import Preprocessing
from models.resnet import resnet18, resnet20
from models.sanity import check_network
from models.spec import load_spec
from models.training import TrainingSettings, initialised
from models.weight_files import fit_weights, read_weights

WEIGHTS_FOLDER = Path(__file__).parent / "weights"

CIFAR10_LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RegisteredClassifier:
    """What is known about a classifier besides its weights.

    Attributes:
        architecture: builds the network, untrained.
        labels: in the order of the logits.
        input_shape: (channel, height, width).
        mean, std: per channel, for pixels in [0, 1].
        representations: modules whose outputs the detector looks at.
        training: the settings it was or is to be trained with.
        starts_from: the registered classifier of the same architecture whose weights training starts from; from
            random weights if not given.
    """

    name: str
    architecture: Callable[[], nn.Module]
    labels: tuple[str, ...]
    input_shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    representations: tuple[str, ...]
    training: TrainingSettings
    starts_from: str | None = None

    @property
    def weights_file(self) -> Path:
        return WEIGHTS_FOLDER / f"{self.name}.safetensors"

    @property
    def is_shipped(self) -> bool:
        """Whether its weights came with this installation."""
        return self.weights_file.is_file() and card_beside(self.weights_file).is_file()

    @property
    def preprocessing(self) -> Preprocessing:
        channels, height, width = self.input_shape
        return Preprocessing(height=height, width=width, channels=channels)

    def untrained(self, seed: int) -> Classifier:
        """The classifier with first weights that depend on the seed alone."""
        return Classifier(
            in_channels_last(initialised(self.architecture, seed)),
            mean=self.mean,
            std=self.std,
            representations=self.representations,
            labels=self.labels,
            input_shape=self.input_shape,
        )


_DIGITS = RegisteredClassifier(
    name="digits",
    architecture=digits_network,
    labels=tuple("0123456789"),
    input_shape=(1, 8, 8),
    mean=(0.305,),
    std=(0.376,),
    representations=("stages.0", "stages.1", "stages.2", "flatten"),
    training=TrainingSettings(epochs=30, batch_size=64, peak_learning_rate=0.1, crop_padding=1, flip=False),
)
_CIFAR10_RESNET20 = RegisteredClassifier(
    name="cifar10-resnet20",
    architecture=resnet20,
    labels=CIFAR10_LABELS,
    input_shape=(3, 32, 32),
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
    representations=("stages.0", "stages.1", "stages.2", "flatten"),
    training=TrainingSettings(epochs=40),
)
_CIFAR10_RESNET18 = dataclasses.replace(
    _CIFAR10_RESNET20,
    name="cifar10-resnet18",
    architecture=resnet18,
    representations=("stages.0", "stages.1", "stages.2", "stages.3", "flatten"),
    training=TrainingSettings(epochs=60),
)
_CIFAR10_ROBUST4 = dataclasses.replace(
    _CIFAR10_RESNET20,
    name="cifar10-resnet20-robust4",
    training=TrainingSettings(
        epochs=5,
        peak_learning_rate=0.1,
        adversarial=AdversarialTraining(radius=4 / 255, steps=1, step_size=1.0, noise=2.0, bound=3.0),
    ),
    starts_from="cifar10-resnet20",
)
_CIFAR10_ROBUST8 = dataclasses.replace(
    _CIFAR10_RESNET20,
    name="cifar10-resnet20-robust8",
    training=TrainingSettings(epochs=1, peak_learning_rate=0.05, adversarial=AdversarialTraining(radius=8 / 255)),
    starts_from="cifar10-resnet20-robust4",
)
_REGISTERED = {
    entry.name: entry for entry in (_DIGITS, _CIFAR10_RESNET20, _CIFAR10_RESNET18, _CIFAR10_ROBUST4, _CIFAR10_ROBUST8)
}


def names() -> tuple[str, ...]:
    """The names of all registered classifiers, with or without shipped weights."""
    return tuple(_REGISTERED)


def registered(name: str) -> RegisteredClassifier:
    """Look up a classifier by name.

    Raises:
        ModelError: there is none of that name.
    """
    if name not in _REGISTERED:
        raise ModelError(
            f"there is no classifier {name!r}; give one of {', '.join(names())}, or the path of a SPEC.toml"
        )
    return _REGISTERED[name]


def load_classifier(
    name_or_spec: str | Path, *, device: str | torch.device = "cpu", weights: Path | None = None
) -> LoadedClassifier:
    """Load a registered classifier by its name, or any classifier by the path of its SPEC.toml.

    Args:
        name_or_spec: one of `names()`, or a path that ends in `.toml`.
        device: where to put it.
        weights: a weight file to take instead of the one that is shipped or named by the spec. If a registered
            classifier's file has a training card of its name beside it, its sha256 is checked.

    Raises:
        ModelError: something is missing, damaged, or does not fit.
    """
    target = parse_device(device)
    if Path(name_or_spec).suffix == ".toml":
        loaded = load_spec(Path(name_or_spec), weights=weights, device=target)
    else:
        loaded = _load_registered(registered(str(name_or_spec)), weights)
        if weights is not None:
            check_network(loaded.classifier.to(target), loaded.kind)
    return dataclasses.replace(loaded, classifier=loaded.classifier.to(target).folded())


def load_untouched(name: str) -> Classifier:
    """A registered classifier with its shipped weights, as it was trained: batch norms are there, nothing is folded.

    Raises:
        ModelError: there is none of that name, or its weights are not shipped.
    """
    return _load_registered(registered(name), None).classifier


def shipped_card(name: str) -> TrainingCard | None:
    """What was measured for a registered classifier when it was trained; None if its weights are not shipped.

    Raises:
        ModelError: there is no such classifier, or its card is damaged.
    """
    entry = registered(name)
    return read_card(card_beside(entry.weights_file)) if entry.is_shipped else None


def card_beside(weights_file: Path) -> Path:
    """Where the training card of a weight file lies."""
    return weights_file.with_suffix(".json")


def _load_registered(entry: RegisteredClassifier, weights: Path | None) -> LoadedClassifier:
    if weights is None and not entry.is_shipped:
        raise ModelError(
            f"the weights of {entry.name} are not shipped; train them with "
            f"`isthmus train {entry.name} --data DIR --out DIR` and give the weight file that it writes"
        )
    source = weights or entry.weights_file
    if card_beside(source).is_file():
        _check_digest(source, read_card(card_beside(source)))
    classifier = entry.untrained(seed=0)
    fit_weights(classifier.network, read_weights(source), source)
    return LoadedClassifier(name=entry.name, classifier=classifier, preprocessing=entry.preprocessing)


def _check_digest(weights: Path, card: TrainingCard) -> None:
    if not weights.is_file():
        raise ModelError(f"there is no weight file {weights}")
    found = file_digest(weights)
    if found != card.sha256:
        raise ModelError(
            f"{weights} is not the file that was measured: its sha256 is {found}, its card says {card.sha256}; "
            "install it again, or train it anew"
        )
