"""What is compared: a bundle that was calibrated, or a made-up one of a preset, on a device and in a runtime."""

import dataclasses
import hashlib
from typing import Any

import torch
from torch import Generator

from detector.bundle import Bundle
from detector.detector import Detector
from detector.presets import Preset, settings_for
from detector.straight import StraightPaths
from detector.types import ProgressCallback, no_progress
from models.classifier import Classifier
from models.errors import ModelError
from models.loaded import LoadedClassifier
from models.preprocessing import Preprocessing
from models.registry import load_classifier, names, registered
from service.bench.made_up import made_up_bundle
from service.bundles import (
    ACCELERATIONS,
    ClassifierChoice,
    open_auxiliary,
    open_bundle,
    open_classifier,
    open_detector,
)
from service.devices import choose_device
from service.options import RuntimeName

RATE = 0.05
SEED = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibrated:
    """A bundle's folder, or the name of a shipped one, and the SPEC.toml of each of its classifiers that needs one."""

    bundle: str
    classifier: str | None = None
    auxiliary: str | None = None

    @property
    def name(self) -> str:
        return self.bundle


@dataclasses.dataclass(frozen=True, kw_only=True)
class MadeUp:
    """A bundle of random values, of the shapes that calibrating a classifier with a preset would give."""

    preset: Preset
    classifier: str

    @property
    def name(self) -> str:
        return f"{self.preset} × {self.classifier}"


Subject = Calibrated | MadeUp


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contender:
    """One row of the table."""

    subject: Subject
    device: str
    runtime: RuntimeName

    @property
    def name(self) -> str:
        """Tells it from all others of a run."""
        return f"{self.subject.name}, {self.device}, {self.runtime}"

    def to_record(self) -> dict[str, Any]:
        """As JSON keeps it; `from_record` reads it back."""
        kind = "calibrated" if isinstance(self.subject, Calibrated) else "made-up"
        subject = {"kind": kind, **dataclasses.asdict(self.subject)}
        return {"subject": subject, "device": self.device, "runtime": str(self.runtime)}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Contender":
        """What `to_record` wrote."""
        fields = dict(record["subject"])
        subject: Subject
        if fields.pop("kind") == "calibrated":
            subject = Calibrated(**fields)
        else:
            subject = MadeUp(preset=Preset(fields["preset"]), classifier=fields["classifier"])
        return cls(subject=subject, device=record["device"], runtime=RuntimeName(record["runtime"]))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Opened:
    """A contender that is ready to judge.

    Attributes:
        in_torch: the same detector with PyTorch alone, in float32, on the same device.
        digest: of the classifier and the runtime and device that it runs with: those of one digest share a roofline.
    """

    contender: Contender
    detector: Detector
    in_torch: Detector
    classifier: Classifier
    preprocessing: Preprocessing
    digest: str


def open_contender(contender: Contender, progress: ProgressCallback = no_progress) -> Opened:
    """Load or make up a bundle, with its classifier.

    Raises:
        InputError, DetectorError, ModelError: see `service.bundles.open_detector`.
    """
    subject = contender.subject
    if isinstance(subject, Calibrated):
        detector, in_torch, loaded = _open_calibrated(contender, subject, progress)
    else:
        detector, in_torch, loaded = _open_made_up(contender, subject, progress)
    return Opened(
        contender=contender,
        detector=detector,
        in_torch=in_torch,
        classifier=loaded.classifier,
        preprocessing=loaded.preprocessing,
        digest=f"{loaded.classifier.digest()} {contender.device} {contender.runtime}",
    )


def _open_calibrated(
    contender: Contender, subject: Calibrated, progress: ProgressCallback
) -> tuple[Detector, Detector, LoadedClassifier]:
    choice = ClassifierChoice(
        name_or_spec=subject.classifier,
        device=contender.device,
        auxiliary=subject.auxiliary,
        runtime=contender.runtime,
    )
    bundle = open_bundle(subject.bundle)
    loaded = open_classifier(bundle, choice)
    in_torch = Detector(loaded.classifier, bundle, RATE, auxiliary=open_auxiliary(bundle, choice))
    if contender.runtime is RuntimeName.TORCH:
        return in_torch, in_torch, loaded
    opened = open_detector(subject.bundle, false_positive_rate=RATE, choice=choice, progress=progress)
    return opened.detector, in_torch, loaded


def _open_made_up(
    contender: Contender, subject: MadeUp, progress: ProgressCallback
) -> tuple[Detector, Detector, LoadedClassifier]:
    loaded = open_bare(subject.classifier, contender.device)
    there = open_bare(subject.classifier, "cpu")
    bundle = made_up_bundle(
        there.classifier,
        settings_for(subject.preset),
        Generator().manual_seed(SEED),
        name=loaded.name,
        preprocessing=loaded.preprocessing.to_dict(),
    )
    in_torch = Detector(loaded.classifier, bundle, RATE)
    if contender.runtime is RuntimeName.TORCH:
        return in_torch, in_torch, loaded
    if contender.runtime in ACCELERATIONS:
        acceleration = ACCELERATIONS[contender.runtime]
        return Detector(loaded.classifier, bundle, RATE, acceleration=acceleration), in_torch, loaded
    from service.onnx_backend import measure_with_onnx_runtime  # noqa: PLC0415

    straight = StraightPaths.of(bundle, there.classifier, None)
    measure = measure_with_onnx_runtime(in_torch, straight, _digest_of(subject, bundle), progress)
    return Detector(loaded.classifier, bundle, RATE, measure_straight=measure), in_torch, loaded


def open_bare(name_or_spec: str, device: str) -> LoadedClassifier:
    """A classifier; a registered one whose weights are not shipped gets random ones, which cost the same.

    Raises:
        ModelError: there is none of that name, or it cannot be loaded.
    """
    where = choose_device(device)
    if name_or_spec not in names() or registered(name_or_spec).is_shipped:
        return load_classifier(name_or_spec, device=where)
    known = registered(name_or_spec)
    untrained = known.untrained(SEED).to(where).folded()
    return LoadedClassifier(name=known.name, classifier=untrained, preprocessing=known.preprocessing)


def _digest_of(subject: MadeUp, bundle: Bundle) -> str:
    """Of everything that decides the made-up bundle's graph."""
    digest = hashlib.sha256(f"made-up {subject.preset} {bundle.record.classifier_digest}".encode())
    tensors = (bundle.prototypes.images, bundle.mixing, *bundle.head.state_dict().values())
    for tensor in (*tensors, *(value for fit in bundle.gaussians.values() for value in fit.tensors().values())):
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def require_devices(devices: list[str]) -> None:
    """Refuse a device that is not there before anything is opened.

    Raises:
        ModelError: torch does not know the name, or the device is not there.
    """
    for device in devices:
        if choose_device(device).type not in ("cpu", "cuda"):
            raise ModelError(f"speed is measured on cpu and cuda, not on {device}; take one of them")


def device_of(contender: Contender) -> torch.device:
    """Where it computes."""
    return choose_device(contender.device)
