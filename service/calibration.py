"""Makes a bundle from image sets that a user names."""

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

from detector.bundle import Bundle, is_bundle
from detector.calibration import CalibrationSettings, Provenance, calibrate
from detector.presets import Preset, settings_for
from detector.prototypes.prototype_set import PrototypeKind
from models.registry import load_classifier
from service.bundle_info import summarise
from service.console import results, write_json
from service.devices import choose_device
from service.errors import InputError
from service.imagesets import load_image_set
from service.options import PresetName, PrototypeName
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
    """

    classifier: str
    images: str
    held_out: str
    out: Path
    weights: Path | None = None
    preset: PresetName = PresetName.DEFAULT
    prototypes: PrototypeName | None = None
    false_positive_rates: tuple[float, ...] = ()
    reserve: float | None = None
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
    bundle.save(request.out)
    _report(bundle, request.out, json=json)


def settings_of(request: CalibrationRequest) -> CalibrationSettings:
    """Take the preset's settings, with what the user asked for in their place."""
    settings = settings_for(Preset(request.preset.value))
    asked: dict[str, Any] = {}
    if request.seed is not None:
        asked["seed"] = request.seed
    if request.false_positive_rates:
        asked["false_positive_rates"] = request.false_positive_rates
    if request.prototypes is not None:
        asked["prototype_kind"] = PrototypeKind(request.prototypes.value)
    if request.reserve is not None:
        asked["shares"] = dataclasses.replace(settings.shares, reserved=request.reserve)
    return dataclasses.replace(settings, **asked)


def refuse_unwritable(out: Path) -> None:
    """Find out before the work, not after it, that the bundle could not be written.

    Raises:
        InputError: something else than a bundle is there, or its folder cannot be written.
    """
    if out.exists() and not is_bundle(out) and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"{out} exists and is not a bundle; name another folder, or remove it")
    # Folders that are missing are made when the bundle is written; until then nothing is.
    nearest = next(parent for parent in out.absolute().parents if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise InputError(f"{out} cannot be written ({nearest}: {error.strerror}); name another folder") from error


def _report(bundle: Bundle, out: Path, *, json: bool) -> None:
    if json:
        write_json({"bundle": str(out)} | summarise(bundle))
        return
    measured = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in bundle.record.measured.items())
    results.print(f"wrote {out}", markup=False)
    if measured:
        results.print(f"measured: {measured}", markup=False)
