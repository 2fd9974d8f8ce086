"""SPEC.toml: a classifier that is not ours, described in one file.

    name = "squeezenet-imagenette"
    architecture = "torchvision:squeezenet1_0"      # or "package.module:factory", or "path/file.py:factory"
    arguments = {}                                  # for the factory
    weights = "squeezenet.safetensors"              # or a state dict in .pt or .pth
    labels = ["tench", "church"]                    # or labels_file = "labels.json"
    outputs = [0, 497]                              # keep these logits only
    input_size = [227, 227]                         # height, width
    mean = [0.482, 0.459, 0.408]                    # of pixels in [0, 1]
    std = [0.0039, 0.0039, 0.0039]
    resize = 256                                    # shorter side before the centre crop
    representations = ["features.5", "features"]    # found by tracing if not given

Paths are relative to the file itself.
"""

import json
import tomllib
from pathlib import Path
from typing import Any

import torch
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)
from torch import Tensor, nn

from models.architectures import build_network
from models.classifier import Classifier
from models.errors import ModelError, one_line
from models.loaded import LoadedClassifier
from models.preprocessing import Interpolation, Preprocessing
from models.representations import default_representations
from models.weight_files import fit_weights, read_weights


class Spec(BaseModel):
    """What a SPEC.toml may say; see the top of this file.

    Attributes:
        crop: [height, width]; may be left out, since it is the input size.
        labels, labels_file: one of the two; the file is a JSON list of names.
        outputs: indices of the logits that are kept, one a label.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    architecture: str = Field(pattern=r"^.+:[^:]+$")
    arguments: dict[str, Any] = {}
    weights: Path
    labels: list[str] | None = Field(default=None, min_length=2)
    labels_file: Path | None = None
    input_size: tuple[PositiveInt, PositiveInt]
    channels: PositiveInt = 3
    mean: list[float]
    std: list[PositiveFloat]
    resize: PositiveInt | None = None
    crop: tuple[PositiveInt, PositiveInt] | None = None
    interpolation: Interpolation = Interpolation.BILINEAR
    representations: list[str] | None = Field(default=None, min_length=1)
    outputs: list[NonNegativeInt] | None = Field(default=None, min_length=2)

    @model_validator(mode="after")
    def _fits_together(self) -> "Spec":
        if (self.labels is None) == (self.labels_file is None):
            raise ValueError("give either labels or labels_file")
        if self.crop is not None and self.crop != self.input_size:
            raise ValueError(f"crop {list(self.crop)} is not the input_size {list(self.input_size)}; leave it out")
        if self.outputs is not None and len(set(self.outputs)) < len(self.outputs):
            raise ValueError("outputs names a logit twice")
        return self

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channel, height, width)."""
        return (self.channels, *self.input_size)

    @property
    def preprocessing(self) -> Preprocessing:
        height, width = self.input_size
        return Preprocessing.from_dict(
            {
                "height": height,
                "width": width,
                "channels": self.channels,
                "resize_shorter": self.resize,
                "interpolation": self.interpolation,
            }
        )


def read_spec(path: Path) -> Spec:
    """Read a SPEC.toml; paths in it come out relative to where it lies.

    Raises:
        ModelError: it is missing, not TOML, or has missing, unknown or wrong keys.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"the spec {path} cannot be read ({one_line(error)})") from error
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"the spec {path} is not TOML: {one_line(error)}") from error
    try:
        spec = Spec.model_validate(table)
    except ValidationError as error:
        raise ModelError(f"the spec {path} is wrong: {one_line(error)}") from error
    folder = path.parent
    labels_file = None if spec.labels_file is None else folder / spec.labels_file
    return spec.model_copy(update={"weights": folder / spec.weights, "labels_file": labels_file})


def load_spec(path: Path, *, weights: Path | None = None) -> LoadedClassifier:
    """Build the classifier that a SPEC.toml describes, on the CPU, and try it on one grey image.

    Args:
        path: of the spec.
        weights: a weight file to take instead of the one that the spec names.

    Raises:
        ModelError: whatever in the spec does not hold; the message names the spec or the file at fault.
    """
    spec = read_spec(path)
    labels = _labels(spec)
    preprocessing = spec.preprocessing
    source = weights or spec.weights
    stored = read_weights(source)
    network = build_network(spec.architecture, spec.arguments, path.parent)
    fit_weights(network, stored, source)
    network.eval()
    example = torch.zeros(1, *spec.input_shape)
    _check_logits(_logits(network, example), spec, labels)
    classifier = Classifier(
        network,
        mean=spec.mean,
        std=spec.std,
        representations=spec.representations or default_representations(network, example),
        labels=labels,
        input_shape=spec.input_shape,
        outputs=spec.outputs,
    )
    with torch.no_grad():
        classifier(torch.full_like(example, 0.5))
    return LoadedClassifier(name=spec.name, classifier=classifier, preprocessing=preprocessing)


def _labels(spec: Spec) -> list[str]:
    if spec.labels is not None or spec.labels_file is None:
        return spec.labels or []
    try:
        labels = json.loads(spec.labels_file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"the labels file {spec.labels_file} cannot be read ({one_line(error)})") from error
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ModelError(f"the labels file {spec.labels_file} is not a JSON list of names, in the order of the logits")
    if len(labels) < 2:
        raise ModelError(f"the labels file {spec.labels_file} names {len(labels)} labels; at least 2 are needed")
    return labels


def _logits(network: nn.Module, example: Tensor) -> object:
    try:
        with torch.no_grad():
            return network(example)
    except Exception as error:
        raise ModelError(
            f"the network fails on an image of shape {tuple(example.shape[1:])} (channel, height, width): "
            f"{one_line(error)}; check channels and input_size"
        ) from error


def _check_logits(logits: object, spec: Spec, labels: list[str]) -> None:
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != 1:
        shown = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ModelError(f"for one image the network gives {shown}; a classifier gives logits of shape (1, label)")
    n_logits = logits.shape[1]
    if spec.outputs is None and n_logits != len(labels):
        raise ModelError(
            f"the network gives {n_logits} logits, but {len(labels)} labels are named; name them all, or list the "
            "logits to keep under outputs"
        )
    if spec.outputs is not None and max(spec.outputs) >= n_logits:
        raise ModelError(f"outputs names logit {max(spec.outputs)}, but the network's go from 0 to {n_logits - 1}")
