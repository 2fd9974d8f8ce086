"""The demonstration: build a detector, attack real images, tell them from clean ones, show it on a page."""

import dataclasses
import time
from pathlib import Path

from detector.calibration import CalibrationSettings, Provenance, calibrate
from detector.calibration.fitting import FittingSettings
from detector.calibration.learning import LearningSettings
from detector.calibration.proxies import ProxySettings
from detector.calibration.splits import SplitShares
from detector.calibration.stream import StreamSettings
from detector.detector import Detector
from detector.evaluation.attacks import Attack, AttackSpec, StrengthUnit, deepfool, fgsm, pgd
from detector.evaluation.experiment import run_experiment
from detector.evaluation.run_settings import settings_of
from detector.presets import Preset, settings_for
from detector.types import LabelledImages
from models.digits import load_digits_images
from models.loaded import LoadedClassifier
from models.registry import load_classifier
from service.console import results
from service.errors import InputError
from service.evaluation_report import PAGE_FILE, show, write_report
from service.imagesets import load_image_set
from service.options import DemoData
from service.outputs import require_writable
from service.progress import progress_bars

DIGITS_SETTINGS = CalibrationSettings(
    shares=SplitShares(reserved=0.35, conformal=0.35, learning=0.4),
    # Strokes are wide and grey levels few: what fools this classifier is larger than on photographs.
    stream=StreamSettings(flip=False, crop_padding=1, proxies=ProxySettings(smallest_radius=0.03, largest_radius=0.25)),
    learning=LearningSettings(steps=150),
    fitting=FittingSettings(batches=60),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Demonstration:
    """What a demonstration runs on.

    Attributes:
        references, held_out: images to calibrate with; the reserved share of the second is attacked.
        limit: clean images that each attack is run on.
    """

    loaded: LoadedClassifier
    references: LabelledImages
    held_out: LabelledImages
    settings: CalibrationSettings
    attacks: tuple[AttackSpec, ...]
    limit: int


def run_demo(*, data: DemoData, images: str | None, out: Path, json: bool) -> None:
    """Run the whole line and write a page.

    Raises:
        InputError: images are missing, or were given where none are needed, or the page could not be written.
    """
    started = time.perf_counter()
    require_writable(out)
    demonstration = _STAGES[data](images)
    loaded = demonstration.loaded
    with progress_bars() as progress:
        bundle = calibrate(
            loaded.classifier,
            references=demonstration.references,
            held_out=demonstration.held_out,
            settings=demonstration.settings,
            provenance=Provenance(classifier=loaded.name, preprocessing=loaded.preprocessing.to_dict()),
            progress=progress,
        )
        detectors = {loaded.name: Detector(loaded.classifier, bundle)}
        held_out, attacks, limit = demonstration.held_out, demonstration.attacks, demonstration.limit
        experiment = run_experiment(detectors, held_out, attacks, limit=limit, seed=0, progress=progress)
        settings = settings_of(detectors, held_out, attacks, limit=limit, seed=0).shared()
        write_report(out, detectors, experiment, settings, title=f"Isthmus on {data}", lead=_LEAD)
    show(experiment, settings, json=json)
    if not json:
        seconds = time.perf_counter() - started
        results.print(f"page with pictures: {out / PAGE_FILE}   ({seconds:.0f} s)", markup=False)


_LEAD = (
    "A detector was calibrated on clean images, three attacks were run on images it had never seen, and both were "
    "judged. Beside the calibrated score stands what the bare cross-entropy barrier of the same paths would tell."
)


def _digits(images: str | None) -> Demonstration:
    if images is not None:
        raise InputError("the digits come with scikit-learn; leave --images out, or add --data cifar10")
    references, held_out = load_digits_images()
    return Demonstration(
        loaded=load_classifier("digits"),
        references=LabelledImages(images=references.images, labels=references.labels),
        held_out=LabelledImages(images=held_out.images, labels=held_out.labels),
        settings=DIGITS_SETTINGS,
        attacks=_attacks(fgsm_radius=0.2, pgd_radius=0.15),
        limit=100,
    )


def _cifar10(images: str | None) -> Demonstration:
    if images is None:
        raise InputError("add --images DIR, where DIR holds CIFAR-10 as train.npz and test.npz")
    loaded = load_classifier("cifar10-resnet20")
    references, held_out = (
        load_image_set(str(Path(images) / name), loaded.preprocessing, labels=loaded.classifier.labels)
        for name in ("train.npz", "test.npz")
    )
    settings = settings_for(Preset.FAST)
    return Demonstration(
        loaded=loaded,
        references=references[:2000],
        held_out=held_out[:4000],
        settings=dataclasses.replace(settings, shares=SplitShares(reserved=0.2)),
        attacks=_attacks(fgsm_radius=8 / 255, pgd_radius=2 / 255),
        limit=200,
    )


def _attacks(*, fgsm_radius: float, pgd_radius: float) -> tuple[AttackSpec, ...]:
    """Three of the built-in attacks, at radii that suit the images."""
    return (
        _spec("fgsm", f"FGSM, L∞ {fgsm_radius * 255:.3g}/255", fgsm(fgsm_radius), fgsm_radius),
        _spec("pgd", f"PGD, L∞ {pgd_radius * 255:.3g}/255, 20 steps", pgd(pgd_radius), pgd_radius),
        _spec("deepfool", "DeepFool, L2", deepfool(), None),
    )


def _spec(name: str, title: str, attack: Attack, radius: float | None) -> AttackSpec:
    return AttackSpec(
        name=name,
        title=title,
        method=name,
        strength=None if radius is None else radius * 255,
        strength_unit=StrengthUnit.NONE if radius is None else StrengthUnit.LINF,
        needs_gradient=True,
        most_images=None,
        attack=attack,
    )


_STAGES = {DemoData.DIGITS: _digits, DemoData.CIFAR10: _cifar10}
