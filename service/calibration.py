"""Makes a bundle from image sets that a user names."""

import dataclasses
from pathlib import Path
from typing import Any

from detector.bundle import Bundle
from detector.bundle_record import is_bundle
from detector.calibration import CalibrationSettings, Provenance, calibrate
from detector.calibration.stream import StreamSettings
from detector.presets import Preset, settings_for
from detector.prototypes.prototype_set import PrototypeKind
from detector.search import MethodName
from detector.second_opinion import EscalationSettings
from models.registry import load_classifier, names, registered
from service.bundle_info import summarise
from service.console import results, write_json
from service.devices import choose_device
from service.errors import InputError
from service.imagesets import load_image_set
from service.options import PresetName, PrototypeName, SearchMethod
from service.outputs import require_writable
from service.progress import progress_bars


@dataclasses.dataclass(frozen=True, kw_only=True)
class CalibrationRequest:
    """What a user asks for; None leaves a setting to the preset.

    Attributes:
        classifier: a registered name, or the path of a SPEC.toml.
        weights: a weight file in place of the classifier's own.
        images, held_out: sources of image sets, the first of which the classifier was trained on.
        out: the folder that becomes the bundle.
        reserve: share of the held-out images that calibration leaves alone.
        start: how the prototypes are made that learned ones start from.
        per_label: prototypes of each label.
        mixing: where along a path the waypoints lie, or start, between 0, the image, and 1, the prototype.
        own_class_weight: what learned prototypes pay for leaving their class.
        steps, batches: how long prototypes are learned at most, and how much the head is fitted on.
        proxy_radius: smallest and largest L∞ size of the proxies, pixels in [0, 1].
        flip: whether mirrored images mean the same.
    """

    classifier: str
    images: str
    held_out: str
    out: Path
    weights: Path | None = None
    preset: PresetName = PresetName.DEFAULT
    prototypes: PrototypeName | None = None
    start: PrototypeName | None = None
    per_label: int | None = None
    mixing: tuple[float, ...] = ()
    own_class_weight: float | None = None
    false_positive_rates: tuple[float, ...] = ()
    reserve: float | None = None
    steps: int | None = None
    batches: int | None = None
    proxy_radius: tuple[float, float] | None = None
    flip: bool | None = None
    escalate: SearchMethod | None = None
    seed: int | None = None
    device: str | None = None
    download: bool = False


def run_calibration(request: CalibrationRequest, *, json: bool) -> None:
    """Calibrate, write the bundle and say what it holds.

    Raises:
        InputError: an image set cannot be read, or the bundle could not be written.
        ModelError: the classifier cannot be loaded.
        DetectorError: the images cannot support what is asked for.
    """
    settings = settings_of(request)
    refuse_unwritable(request.out)
    loaded = load_classifier(request.classifier, device=choose_device(request.device), weights=request.weights)
    with progress_bars() as progress:
        references, held_out = (
            load_image_set(
                source,
                loaded.preprocessing,
                labels=loaded.classifier.labels,
                download=request.download,
                progress=progress,
            )
            for source in (request.images, request.held_out)
        )
        bundle = calibrate(
            loaded.classifier,
            references=references,
            held_out=held_out,
            settings=settings,
            provenance=Provenance(classifier=loaded.name, preprocessing=loaded.preprocessing.to_dict()),
            progress=progress,
        )
    # A relative name such as "." has no neighbour to be written beside first.
    bundle.save(request.out.absolute())
    _report(bundle, request.out, json=json)


def settings_of(request: CalibrationRequest) -> CalibrationSettings:
    """Take the preset's settings, with what the user asked for in their place.

    Raises:
        InputError: something is said about learning, and nothing is to be learned.
        CalibrationError: a value that makes no sense.
    """
    settings = settings_for(Preset(request.preset.value))
    asked: dict[str, Any] = {}
    if request.seed is not None:
        asked["seed"] = request.seed
    if request.false_positive_rates:
        asked["false_positive_rates"] = request.false_positive_rates
    if request.reserve is not None:
        asked["shares"] = dataclasses.replace(settings.shares, reserved=request.reserve)
    if request.batches is not None:
        asked["fitting"] = dataclasses.replace(settings.fitting, batches=request.batches)
    if request.escalate is not None:
        asked["escalation"] = EscalationSettings(method=MethodName(request.escalate.value))
    asked["stream"] = _stream_of(request, settings.stream)
    asked |= _prototypes_of(request) | _learning_of(request, settings)
    return dataclasses.replace(settings, **asked)


def _prototypes_of(request: CalibrationRequest) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    if request.prototypes is not None:
        asked["prototype_kind"] = PrototypeKind(request.prototypes.value)
    if request.per_label is not None:
        asked["n_prototypes"] = request.per_label
    if request.mixing:
        asked["mixing"] = request.mixing
    return asked


def _learning_of(request: CalibrationRequest, settings: CalibrationSettings) -> dict[str, Any]:
    kind = settings.prototype_kind if request.prototypes is None else PrototypeKind(request.prototypes.value)
    if kind is not PrototypeKind.LEARNED:
        for option, value in (("--start", request.start), ("--own-class-weight", request.own_class_weight)):
            if value is not None:
                raise InputError(
                    f"{option} is about learned prototypes, and these are {kind}; leave it out, or add "
                    "--prototypes learned"
                )
    asked: dict[str, Any] = {}
    if request.start is not None:
        asked["learning_start"] = PrototypeKind(request.start.value)
    changes: dict[str, Any] = {"steps": request.steps, "own_class_weight": request.own_class_weight}
    changes = {name: value for name, value in changes.items() if value is not None}
    return asked | {"learning": dataclasses.replace(settings.learning, **changes)}


def _stream_of(request: CalibrationRequest, stream: StreamSettings) -> StreamSettings:
    """Vary images as the classifier's training did, unless the user says otherwise."""
    if request.classifier in names():
        training = registered(request.classifier).training
        stream = dataclasses.replace(stream, flip=training.flip, crop_padding=training.crop_padding)
    if request.flip is not None:
        stream = dataclasses.replace(stream, flip=request.flip)
    if request.proxy_radius is not None:
        smallest, largest = request.proxy_radius
        proxies = dataclasses.replace(stream.proxies, smallest_radius=smallest, largest_radius=largest)
        stream = dataclasses.replace(stream, proxies=proxies)
    return stream


def refuse_unwritable(out: Path) -> None:
    """Find out before the work, not after it, that the bundle could not be written.

    Raises:
        InputError: something else than a bundle is there, or its folder cannot be written.
    """
    if out.exists() and not is_bundle(out) and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"{out} exists and is not a bundle; name another folder, or remove it")
    require_writable(out.parent)


def _report(bundle: Bundle, out: Path, *, json: bool) -> None:
    if json:
        write_json({"bundle": str(out)} | summarise(bundle))
        return
    measured = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in bundle.record.measured.items())
    results.print(f"wrote {out}", markup=False)
    if measured:
        results.print(f"measured: {measured}", markup=False)
