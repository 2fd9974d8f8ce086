"""Classifiers whose answers are known on paper."""

import dataclasses
import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import hypothesis
import pytest
import torch
from torch import Tensor

from detector.types import LabelledImages

torch.set_num_threads(1)
# The same examples every time, however busy the machine is.
hypothesis.settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("steady")

# Servers in threads log between tests, too, when pytest does not listen: Python would print that.
logging.getLogger("service").addHandler(logging.NullHandler())

VARIABLE = "ISTHMUS_TEST_DATA"

IMAGENET_INDEX = {
    "n01440764": 0,
    "n02102040": 217,
    "n02979186": 482,
    "n03000684": 491,
    "n03028079": 497,
    "n03394916": 566,
    "n03417042": 569,
    "n03425413": 571,
    "n03445777": 574,
    "n03888257": 701,
}

LINEAR_WEIGHTS = (3.0, -4.0, 0.0, 12.0)
"""Of length 13."""

QUADRANTS = ((slice(0, 2), slice(0, 2)), (slice(0, 2), slice(2, 4)), (slice(2, 4), slice(0, 2)), (slice(2, 4),) * 2)


@pytest.fixture(autouse=True)
def quiet_log() -> Iterator[None]:
    """A command run in this process shows the service's log from then on: later records would be printed, and kept."""
    logger = logging.getLogger("service")
    before = logger.handlers, logger.level
    yield
    logger.handlers, level = before
    logger.setLevel(level)


@dataclasses.dataclass(frozen=True)
class ToyOutputs:
    logits: Tensor
    representations: Mapping[str, Tensor]


class Toy:
    """A classifier made of functions of the pixels; remembers how many images each forward pass had."""

    def __init__(
        self,
        logits: Callable[[Tensor], Tensor],
        *,
        n_labels: int,
        input_shape: tuple[int, int, int],
        representations: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
        name: str = "toy",
    ) -> None:
        self.logits = logits
        self.labels = tuple("abcdefghij"[:n_labels])
        self.input_shape = input_shape
        self.device = torch.device("cpu")
        self.representations = representations or {"pixels": lambda pixels: pixels.flatten(1)}
        self.name = name
        self.batches: list[int] = []

    def __call__(self, pixels: Tensor) -> ToyOutputs:
        self.batches.append(len(pixels))
        return ToyOutputs(self.logits(pixels), {name: part(pixels) for name, part in self.representations.items()})

    def digest(self) -> str:
        return hashlib.sha256(self.name.encode()).hexdigest()


def quadrant_means(pixels: Tensor) -> Tensor:
    """Mean brightness of the four quarters of images of 4×4 pixels, shape (image, quarter)."""
    return torch.stack([pixels[:, 0, rows, columns].mean((1, 2)) for rows, columns in QUADRANTS], 1)


@pytest.fixture
def toy() -> type[Toy]:
    return Toy


@pytest.fixture
def linear() -> Toy:
    """Logits (0, w·x − 5.5) on images of 2×2 pixels with |w| = 13: the boundary is a plane through mid-grey."""

    def logits(pixels: Tensor) -> Tensor:
        score = pixels.flatten(1) @ pixels.new_tensor(LINEAR_WEIGHTS) - 5.5
        return torch.stack([torch.zeros_like(score), score], 1)

    return Toy(logits, n_labels=2, input_shape=(1, 2, 2))


@pytest.fixture
def radial() -> Toy:
    """On images of two pixels: label 1 within a quarter of the middle (½, ½), label 0 outside; logits 20·(d², r²)."""

    def logits(pixels: Tensor) -> Tensor:
        squared = (pixels.flatten(1) - 0.5).square().sum(1)
        return torch.stack([20 * squared, torch.full_like(squared, 20 * 0.25**2)], 1)

    return Toy(logits, n_labels=2, input_shape=(1, 1, 2))


@pytest.fixture
def corners() -> Toy:
    """The label is the brightest quarter of an image of 4×4 pixels; its logit is 40 times its mean."""
    return make_corners()


def make_corners() -> Toy:
    return Toy(
        lambda pixels: 40 * quadrant_means(pixels),
        n_labels=4,
        input_shape=(1, 4, 4),
        representations={"map": lambda pixels: torch.cat([pixels, pixels.square()], 1), "means": quadrant_means},
        name="corners",
    )


@pytest.fixture
def corner_images() -> Callable[..., LabelledImages]:
    return make_corner_images


def make_corner_images(n_images: int, seed: int) -> LabelledImages:
    """Dim noise with one quarter brighter by 2 to 20 %, all distinct, most of them easily told by `corners`."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n_images) % 4
    pixels = 0.3 + 0.1 * torch.rand(n_images, 1, 4, 4, generator=generator)
    boosts = 0.02 + 0.18 * torch.rand(n_images, generator=generator)
    for image, label, boost in zip(pixels, labels.tolist(), boosts, strict=True):
        rows, columns = QUADRANTS[label]
        image[0, rows, columns] += boost
    return LabelledImages(images=(pixels * 255).round().to(torch.uint8), labels=labels)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real photographs; once it is named, a test that needs it fails rather than skips."""
    named = os.environ.get(VARIABLE)
    if not named:
        pytest.skip(f"needs real photographs; set {VARIABLE} to the folder that holds cifar10/ and imagenette/")
    folder = Path(named)
    assert (folder / "cifar10").is_dir(), f"{VARIABLE} names {folder}, which has no cifar10/"
    return folder


@pytest.fixture(scope="session")
def digits_gradient(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The gradient of the shipped digits classifier, exported once in a run by whichever process comes first."""
    from models.onnx_files.gradient import export_gradient  # noqa: PLC0415
    from models.registry import load_classifier  # noqa: PLC0415

    base = tmp_path_factory.getbasetemp()
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    file = folder / "digits.gradient.onnx"
    with (folder / "digits.gradient.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            file.write_bytes(export_gradient(load_classifier("digits").classifier).SerializeToString())
    return file.read_bytes()


@pytest.fixture
def photograph_spec(shared_data: Path, tmp_path: Path) -> Path:
    """The SPEC.toml of SqueezeNet for the photographs' ten classes."""
    weights = next((shared_data / "squeezenet").glob("*.safetensors"))
    lines = [
        'name = "squeezenet-imagenette"',
        'architecture = "torchvision:squeezenet1_0"',
        f"weights = {json.dumps(str(weights))}",
        f"labels = {json.dumps(list(IMAGENET_INDEX))}",
        f"outputs = {list(IMAGENET_INDEX.values())}",
        "input_size = [224, 224]",
        "mean = [0.48235, 0.45882, 0.40784]",
        "std = [0.0039216, 0.0039216, 0.0039216]",
    ]
    spec = tmp_path / "squeezenet.toml"
    spec.write_text("\n".join(lines) + "\n")
    return spec
