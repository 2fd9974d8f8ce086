"""Adds an exit for clear images to a finished bundle, from the held-out images that it was calibrated with."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from detector.bundle import Bundle
from detector.bundle_record import ProxySource
from detector.calibration.early_exit import ExitTrainee, with_early_exit
from detector.calibration.extending import halves
from detector.calibration.recorded_settings import fitting_settings, stream_settings
from detector.calibration.splits import without_validation
from detector.calibration.stream import correctly_classified
from detector.early_exit import EarlyExitSettings, Look
from detector.evaluation.recovered_splits import recover_splits
from detector.passes import waypoints_per_pass
from detector.types import Classifier, LabelledImages, ProgressCallback
from service.bundle_info import summarise
from service.bundles import ClassifierChoice, digest_of, open_auxiliary, open_bundle, open_classifier
from service.calibration import refuse_unwritable
from service.console import printable, results, write_json
from service.errors import InputError
from service.imagesets import load_image_set
from service.progress import progress_bars


@dataclasses.dataclass(frozen=True, kw_only=True)
class EarlyExitRequest:
    """What a user asks for; None leaves a setting to its default.

    Attributes:
        bundle: a bundle's folder, or the name of a shipped one.
        held_out: the image set that it was calibrated with; others may be among the images.
        out: the folder that becomes the bundle.
        looks: what the first look takes in besides the image.
        batches: of clean images and proxies.
        download: whether `cifar10` may be fetched from the internet.
    """

    bundle: str
    choice: ClassifierChoice
    held_out: str
    out: Path
    looks: tuple[str, ...] = ()
    batches: int | None = None
    seed: int = 0
    download: bool = False


def run_early_exit(request: EarlyExitRequest, *, json: bool) -> None:
    """Fit the first look, write the bundle and say what it costs now.

    Raises:
        InputError: there is no such bundle, the images cannot be read, or the bundle could not be written.
        ModelError: the classifier cannot be loaded.
        DetectorError: the images are not those of the bundle's calibration, or cannot support what is asked for.
    """
    settings = settings_of(request)
    refuse_unwritable(request.out)
    bundle = open_bundle(request.bundle)
    _require_looks(bundle, request.looks)
    loaded, auxiliary = open_classifier(bundle, request.choice), open_auxiliary(bundle, request.choice)
    if not loaded.is_differentiable and bundle.record.proxies is ProxySource.GRADIENT:
        raise InputError(
            f"{loaded.name} gives no gradient, with which the proxies of this bundle were made; load it with gradients"
        )
    with progress_bars() as progress:
        held_out = load_image_set(
            request.held_out,
            loaded.preprocessing,
            labels=loaded.classifier.labels,
            download=request.download,
            progress=progress,
        )
        trainee = trainee_of(bundle, held_out, loaded.classifier, auxiliary, progress)
        made = with_early_exit(
            trainee, settings, fitting_settings(bundle.record), seed=request.seed, added_to=digest_of(request.bundle)
        )
    # A relative name such as "." has no neighbour to be written beside first.
    made.save(request.out.absolute())
    _report(made, request.out, json=json)


def _require_looks(bundle: Bundle, looks: Sequence[str]) -> None:
    """Refuse a look that was asked for by name and that the bundle does not have.

    Raises:
        InputError: it has none.
    """
    for look in looks:
        if look not in bundle.record.possible_looks:
            raise InputError(
                f"the bundle {bundle.record.classifier} was calibrated without what --look {look} asks for; leave it "
                "out, or calibrate with it"
            )


def settings_of(request: EarlyExitRequest) -> EarlyExitSettings:
    """The defaults, with what the user asked for in their place."""
    settings = EarlyExitSettings()
    if request.looks:
        settings = dataclasses.replace(settings, looks=tuple(Look(name) for name in request.looks))
    return settings if request.batches is None else dataclasses.replace(settings, batches=request.batches)


def trainee_of(
    bundle: Bundle,
    held_out: LabelledImages,
    classifier: Classifier,
    auxiliary: Classifier | None,
    progress: ProgressCallback,
) -> ExitTrainee:
    """The images of the bundle's own calibration, each for the purpose that it served there.

    Raises:
        BundleError: another version wrote settings that this one does not know.
        ImageError: they are not the images of its calibration.
    """
    splits = recover_splits(bundle, held_out)
    learning, unseen = without_validation(splits.learning, fitting_settings(bundle.record).validation_share)
    validation, trial = halves(unseen)
    clean, _ = correctly_classified(classifier, splits.conformal, waypoints_per_pass(classifier.input_shape))
    return ExitTrainee(
        classifier=classifier,
        auxiliary=auxiliary,
        bundle=bundle,
        learning=learning,
        validation=validation,
        trial=trial,
        clean=clean,
        stream=stream_settings(bundle.record),
        progress=progress,
    )


def _report(bundle: Bundle, out: Path, *, json: bool) -> None:
    if json:
        write_json({"bundle": str(out)} | summarise(bundle))
        return
    results.print(f"wrote {printable(str(out))}", markup=False, emoji=False)
    if bundle.record.measured["early_exit_kept"] == 0:
        results.print(bundle.record.notes[-1], markup=False, emoji=False)
        return
    results.print(in_words(bundle), markup=False)


def in_words(bundle: Bundle) -> str:
    """What an early exit was found to save, and to cost.

    Raises:
        ValueError: the bundle has none.
    """
    found = bundle.record.early_exit
    if found is None:
        raise ValueError("the bundle has no early exit to speak of")
    return (
        f"{found.leaving_share:.1%} of clean images and {found.proxies_leaving:.1%} of proxies leave early; "
        f"{found.forward_equivalents:.2f} forward passes a clean image instead of {bundle.forward_equivalents}; AUROC "
        f"of clean images against proxies {found.auroc:.4f} instead of {found.auroc_without:.4f}"
    )
