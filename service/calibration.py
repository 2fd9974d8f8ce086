"""Makes a bundle from image sets that a user names."""

import logging
from pathlib import Path

from detector.bundle import Bundle
from detector.bundle_record import is_bundle
from detector.calibration import Provenance, calibrate
from models.registry import load_classifier
from service.bundle_info import summarise
from service.bundles import open_bundle
from service.calibration_costs import notes_on
from service.calibration_request import CalibrationRequest, settings_of
from service.classifier_checks import require_sound
from service.console import results, write_json
from service.devices import choose_device
from service.errors import InputError
from service.imagesets import load_image_set
from service.outputs import require_writable
from service.progress import progress_bars
from service.without_gradients import fitted_to

logger = logging.getLogger(__name__)


def run_calibration(request: CalibrationRequest, *, json: bool) -> None:
    """Calibrate, write the bundle and say what it holds.

    Raises:
        InputError: what is asked for contradicts itself or the classifier, an image set cannot be read, the classifier
            seems to be fed wrongly, or the bundle could not be written.
        ModelError: the classifier cannot be loaded.
        DetectorError: the images cannot support what is asked for.
    """
    settings_of(request)
    refuse_unwritable(request.out)
    start = None if request.prototypes_from is None else open_bundle(request.prototypes_from)
    device = choose_device(request.device)
    loaded = load_classifier(request.classifier, device=device, weights=request.weights)
    settings = settings_of(fitted_to(request, loaded.classifier))
    notes = notes_on(settings.proxy_source)
    for note in notes:
        logger.warning("%s", note)
    auxiliary = None if request.auxiliary is None else load_classifier(request.auxiliary, device=device)
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
        require_sound(request.classifier, loaded, held_out, request.weights)
        bundle = calibrate(
            loaded.classifier,
            references=references,
            held_out=held_out,
            settings=settings,
            provenance=Provenance(
                classifier=loaded.name,
                preprocessing=loaded.preprocessing.to_dict(),
                auxiliary=None if auxiliary is None else auxiliary.name,
                notes=notes,
            ),
            auxiliary=None if auxiliary is None else auxiliary.classifier,
            start=start,
            progress=progress,
        )
    # A relative name such as "." has no neighbour to be written beside first.
    bundle.save(request.out.absolute())
    _report(bundle, request.out, json=json)


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
