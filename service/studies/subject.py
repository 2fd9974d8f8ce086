"""Whom a study asks, and about which images."""

import dataclasses

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from detector.passes import predicted_labels, waypoints_per_pass
from detector.paths import straight_paths
from detector.search import LabelPotential
from detector.types import Classifier, Images, LabelledImages, ProgressCallback, to_pixels
from models.loaded import LoadedClassifier
from models.registry import load_classifier
from service.devices import choose_device
from service.errors import InputError
from service.imagesets import load_image_set
from service.studies.report import StudyRequest

N_POINTS = 33
"""Points at which a straight path is measured, ends included."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """A classifier, and images that it was not trained on and names correctly.

    Attributes:
        images: the correctly classified ones.
        accuracy: share of the images read that are.
    """

    loaded: LoadedClassifier
    images: LabelledImages
    accuracy: float

    @property
    def classifier(self) -> Classifier:
        return self.loaded.classifier

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What a page says about the subject."""
        return (("classifier", self.loaded.name), ("accuracy on these images", f"{100 * self.accuracy:.1f} %"))


def open_subject(
    request: StudyRequest, *, classifier: str | None, n_images: int, progress: ProgressCallback
) -> Subject:
    """Load the classifier asked for, or else this one, and read at most so many held-out images.

    Raises:
        InputError: neither is there, the images cannot be read, or the classifier gets all of them wrong.
        ModelError: the classifier cannot be loaded.
    """
    if request.train is not None:
        raise InputError("this study has no use for training images; leave --train out")
    name = request.classifier or classifier
    if name is None:
        raise InputError("this study has no classifier of its own; add --classifier with a SPEC.toml")
    loaded = load_classifier(name, device=choose_device(request.device))
    source = source_of(request.held_out, name, "held-out")
    labels = loaded.classifier.labels
    images = load_image_set(source, loaded.preprocessing, labels=labels, limit=n_images, progress=progress)
    predicted = predicted_labels(loaded.classifier, to_pixels(images.images))
    is_correct = predicted == images.labels
    if not is_correct.any():
        raise InputError(f"{loaded.name} gets all {len(images)} images of {source} wrong; check their classes")
    return Subject(loaded=loaded, images=images[is_correct], accuracy=is_correct.double().mean().item())


def require_own_classifier(request: StudyRequest, what: str) -> None:
    """Refuse classifiers, image sets and devices, for studies that make all of them, on the CPU.

    Raises:
        InputError: one is given.
    """
    given = (request.train, request.held_out, request.classifier)
    if any(value is not None for value in given) or request.device not in (None, "cpu"):
        raise InputError(f"this study {what}, on the CPU; leave --train, --held-out, --classifier and --device out")


def source_of(given: str | None, classifier: str, part: str) -> str:
    """The image set asked for, or else the one that is known for the classifier.

    Raises:
        InputError: there is none.
    """
    if given is not None:
        return given
    if classifier == "digits":
        return f"digits:{part}"
    if classifier.startswith("cifar10-"):
        return "cifar10:test" if part == "held-out" else "cifar10:train"
    raise InputError(f"no images are known for {classifier}; add --{part} with some")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pairs:
    """Two images of one label each; `labels` is that of each pair."""

    starts: Images
    ends: Images
    labels: Int64[Tensor, " pair"]

    def __len__(self) -> int:
        return len(self.labels)


def same_label_pairs(images: LabelledImages, n_pairs: int, seed: int) -> Pairs:
    """Draw pairs, the labels taking turns; no image is drawn twice.

    Raises:
        InputError: there are not as many.
    """
    order = torch.randperm(len(images), generator=Generator().manual_seed(seed))
    queues = [order[images.labels[order] == label].tolist() for label in range(int(images.labels.max()) + 1)]
    drawn: list[tuple[int, int]] = []
    while len(drawn) < n_pairs and any(len(queue) > 1 for queue in queues):
        drawn += [(queue.pop(), queue.pop()) for queue in queues if len(queue) > 1]
    if len(drawn) < n_pairs:
        raise InputError(
            f"{len(images)} correctly classified images make {len(drawn)} pairs of one label, and {n_pairs} were "
            "wanted; give more images, or lower --limit"
        )
    first, second = torch.tensor(drawn[:n_pairs]).T
    return Pairs(
        starts=to_pixels(images.images[first]), ends=to_pixels(images.images[second]), labels=images.labels[first]
    )


@torch.no_grad()
def straight_profiles(
    potential: LabelPotential, starts: Images, ends: Images, n_points: int = N_POINTS
) -> Float[Tensor, "path point"]:
    """The potential at equally spaced points of the straight path between each start and its end."""
    per_pass = max(1, waypoints_per_pass(potential.classifier.input_shape) // n_points)
    mixing = torch.linspace(0, 1, n_points)
    profiles = []
    for paths in torch.split(torch.arange(len(starts)), per_pass):
        points = straight_paths(starts[paths], ends[paths], mixing)
        values = potential(points.flatten(0, 1), paths.repeat_interleave(n_points))
        profiles.append(values.view(len(paths), n_points))
    return torch.cat(profiles)
