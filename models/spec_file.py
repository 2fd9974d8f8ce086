"""What a SPEC.toml may say, and what of it contradicts itself; see `models.spec`."""

import enum
import json
import tomllib
from pathlib import Path
from typing import Any

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

from models.errors import ModelError, one_line
from models.preprocessing import Interpolation, Preprocessing

ONNX = ".onnx"
EXPORTED_PROGRAM = ".pt2"
TORCHSCRIPT = (".torchscript", ".ts", ".pt")
_MODELS = (EXPORTED_PROGRAM, ONNX, *TORCHSCRIPT)
_PATHS = ("weights", "model", "gradient", "labels_file")


class OnnxRunner(enum.StrEnum):
    """What runs an ONNX graph."""

    ONNX_RUNTIME = "onnxruntime"
    TORCH = "torch"


class Spec(BaseModel):
    """What a SPEC.toml may say; see the top of this file.

    Attributes:
        architecture, arguments, weights: a network that a factory builds, and its weights; or instead of them
        model: a file that holds both, graph and weights.
        logits, runtime, gradient: of a graph in ONNX alone.
        crop: [height, width]; may be left out, since it is the input size.
        labels, labels_file: one of the two; the file is a JSON list of names.
        outputs: indices of the logits that are kept, one a label.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    architecture: str | None = Field(default=None, pattern=r"^.+:[^:]+$")
    arguments: dict[str, Any] = {}
    weights: Path | None = None
    model: Path | None = None
    logits: str | None = Field(default=None, min_length=1)
    runtime: OnnxRunner | None = None
    gradient: Path | None = None
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
        _check_source(self)
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
    named = {key: getattr(spec, key) for key in _PATHS}
    return spec.model_copy(update={key: folder / file for key, file in named.items() if file is not None})


def with_other_weights(spec: Spec, file: Path) -> Spec:
    """The spec with another file in place of its weights, or of its model where that holds them.

    Raises:
        ModelError: the file's kind contradicts the rest of the spec.
    """
    key = "weights" if spec.model is None else "model"
    try:
        return Spec.model_validate(spec.model_dump() | {key: file})
    except ValidationError as error:
        raise ModelError(f"{file} does not go with the spec: {one_line(error)}") from error


def read_labels(spec: Spec) -> list[str]:
    """The names of the labels, from the spec or from the file that it names.

    Raises:
        ModelError: that file is missing or holds something else.
    """
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


def _check_source(spec: Spec) -> None:
    """Raise ValueError unless a spec says once where graph and weights come from, and no more than fits it."""
    if spec.model is None:
        if spec.architecture is None or spec.weights is None:
            given = [key for key in ("architecture", "weights") if getattr(spec, key) is not None]
            lacking = "and without weights" if given == ["architecture"] else "and without architecture"
            raise ValueError(
                "give architecture and weights, or model, a file that holds both; this is without model "
                f"{lacking if given else 'and without either'}"
            )
    else:
        doubled = [key for key in ("architecture", "weights", "arguments") if getattr(spec, key)]
        if doubled:
            raise ValueError(f"model is a file with graph and weights; leave {' and '.join(doubled)} out, or model")
        if spec.model.suffix not in _MODELS:
            raise ValueError(f"model is {spec.model.name}; it must end in one of {', '.join(_MODELS)}")
    _check_onnx_keys(spec)


def _check_onnx_keys(spec: Spec) -> None:
    alone = [key for key in ("logits", "runtime", "gradient") if getattr(spec, key) is not None]
    if alone and (spec.model is None or spec.model.suffix != ONNX):
        raise ValueError(f"{alone[0]} is for a model in ONNX alone, and there is none; leave it out")
    if spec.gradient is not None and spec.runtime is OnnxRunner.TORCH:
        raise ValueError("torch finds gradients by itself; leave gradient out, or take the runtime 'onnxruntime'")
