"""Toy detectors that can be traced, and their graphs, each exported once."""

import dataclasses
import hashlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jaxtyping
import onnxruntime
import pytest
import torch
from torch import Tensor

from detector.bundle import Bundle
from detector.calibration import CalibrationSettings, Provenance
from detector.detector import Detector
from detector.onnx_export.exporting import export_onnx
from detector.prototypes.prototype_set import PrototypeKind
from detector.smoothing import Smoothing

RATE = 0.05

NAMED = Provenance(classifier="corners", preprocessing={"height": 4}, auxiliary="coarse")


@dataclasses.dataclass(frozen=True)
class Traceable:
    """A toy that keeps no count of what it is given, with the digest of the toy that does."""

    toy: Any

    @property
    def labels(self) -> tuple[str, ...]:
        return self.toy.labels

    @property
    def input_shape(self) -> tuple[int, int, int]:
        return self.toy.input_shape

    @property
    def device(self) -> torch.device:
        return self.toy.device

    def __call__(self, pixels: Tensor) -> Any:
        parts = {name: part(pixels) for name, part in self.toy.representations.items()}
        return SimpleNamespace(logits=self.toy.logits(pixels), representations=parts)

    def digest(self) -> str:
        return hashlib.sha256(self.toy.name.encode()).hexdigest()


@pytest.fixture
def traceable(corners: Any) -> Traceable:
    return Traceable(corners)


@pytest.fixture
def exported() -> Callable[..., Any]:
    """Exports a graph of the toy detectors; shapes are checked wherever else the same code runs, not while traced."""

    def export(graph: Any, names: tuple[str, ...]) -> Any:
        jaxtyping.config.update("jaxtyping_disable", True)
        try:
            return export_onnx(graph, torch.zeros(3, 1, 4, 4), names)
        finally:
            jaxtyping.config.update("jaxtyping_disable", False)

    return export


@pytest.fixture(scope="session")
def made() -> dict[str, Any]:
    """What tests share: the first to ask for it puts it here, since what it is made of is there for one test alone."""
    return {}


@pytest.fixture
def watched(
    made: dict[str, Any],
    calibrated: Callable[..., Bundle],
    toy: Any,
    corners: Any,
    tiny_settings: CalibrationSettings,
) -> Detector:
    """A smoothed version, an auxiliary classifier along one path, and no prototypes of the last label."""
    coarse = toy(lambda pixels: 0.1 * corners.logits(pixels), n_labels=4, input_shape=(1, 4, 4), name="coarse")
    if "watched" not in made:
        settings = dataclasses.replace(tiny_settings, auxiliary_prototypes=1, smoothings=(Smoothing.MEDIAN,))
        whole = calibrated(settings, auxiliary=coarse, provenance=NAMED)
        available = torch.tensor([True, True, True, False])
        prototypes = dataclasses.replace(whole.prototypes, available=available)
        bundle = whole.replaced(prototypes=prototypes)
        made["watched"] = Detector(Traceable(corners), bundle, RATE, auxiliary=Traceable(coarse))
    return made["watched"]


@pytest.fixture
def pathless(
    made: dict[str, Any], calibrated: Callable[..., Bundle], traceable: Traceable, tiny_settings: CalibrationSettings
) -> Bundle:
    """Without prototypes, and so without paths."""
    if "pathless" not in made:
        settings = dataclasses.replace(tiny_settings, prototype_kind=PrototypeKind.NONE, smoothings=())
        made["pathless"] = calibrated(settings)
    return made["pathless"]


@pytest.fixture
def session_of() -> Callable[[Any], Any]:
    """Opens a graph with ONNX Runtime, on one thread."""

    def open_session(model: Any) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

    return open_session
