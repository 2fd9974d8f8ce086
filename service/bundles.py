"""From what a user calls a bundle to a detector that is ready to inspect."""

import dataclasses
import hashlib
import logging
from pathlib import Path

import detector
from detector.acceleration import AccelerationSettings
from detector.bundle import TENSOR_FILE, Bundle
from detector.bundle_record import RECORD_FILE, is_bundle
from detector.detector import Detector
from detector.half_precision import Precision
from detector.straight import MeasureStraight, StraightPaths
from detector.types import Classifier, ProgressCallback, no_progress
from models.errors import ModelError
from models.loaded import LoadedClassifier
from models.preprocessing import Preprocessing
from models.registry import load_classifier, names
from service.devices import choose_device
from service.errors import InputError
from service.options import RuntimeName

SHIPPED_BUNDLES = Path(detector.__file__).parent / "bundles"

ACCELERATIONS = {
    RuntimeName.TORCH_GRAPHS: AccelerationSettings(cuda_graphs=True),
    RuntimeName.TORCH_BFLOAT16: AccelerationSettings(precision=Precision.BFLOAT16, cuda_graphs=True),
    RuntimeName.TORCH_FLOAT16: AccelerationSettings(precision=Precision.FLOAT16, cuda_graphs=True),
}
"""What is traded for speed in each of PyTorch's runtimes; nothing in the others."""

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierChoice:
    """Which classifier to take where a bundle's own name for it does not say enough.

    Attributes:
        name_or_spec: a registered name, or the path of a SPEC.toml; by default the name in the bundle.
        weights: a weight file in place of the classifier's own.
        device: a torch device; by default CUDA where there is one.
        auxiliary: a registered name or the path of a SPEC.toml for the auxiliary classifier, where the bundle has one.
        runtime: what computes straight paths, and searches for lower ones where the bundle does.
    """

    name_or_spec: str | None = None
    weights: Path | None = None
    device: str | None = None
    auxiliary: str | None = None
    runtime: RuntimeName = RuntimeName.TORCH


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpenedDetector:
    """A detector with what is needed to feed it and to name its labels."""

    detector: Detector
    preprocessing: Preprocessing
    labels: tuple[str, ...]


def shipped_names() -> tuple[str, ...]:
    """Names of the bundles that came with this installation."""
    if not SHIPPED_BUNDLES.is_dir():
        return ()
    return tuple(sorted(folder.name for folder in SHIPPED_BUNDLES.iterdir() if is_bundle(folder)))


def open_bundle(name: str) -> Bundle:
    """Load a bundle by the name of a shipped one or by its folder.

    Raises:
        InputError: there is neither.
        BundleError: it is damaged, or too new.
    """
    folder = Path(name)
    if name in shipped_names():
        if is_bundle(folder):
            logger.info("taking the shipped bundle %s; write ./%s for the folder of that name", name, name)
        return Bundle.load(SHIPPED_BUNDLES / name)
    if not folder.is_dir():
        raise InputError(
            f"there is no bundle {name!r}; give the folder of one, "
            f"or the name of a shipped one ({', '.join(shipped_names()) or 'none came with this installation'})"
        )
    return Bundle.load(folder)


def open_classifier(bundle: Bundle, choice: ClassifierChoice) -> LoadedClassifier:
    """Load the classifier that a bundle was calibrated for.

    Raises:
        InputError: the bundle names a classifier that is not registered and no spec is given, or the classifier's
            preprocessing is not the bundle's.
        ModelError: the classifier cannot be loaded.
    """
    name = choice.name_or_spec
    if name is None:
        name = bundle.record.classifier
        if name not in names():
            raise InputError(
                f"the bundle was calibrated for {name!r}, which is not a registered classifier; "
                "add --classifier with the SPEC.toml that it was made from"
            )
    loaded = load_classifier(name, device=choose_device(choice.device), weights=choice.weights)
    bundle.check_classifier(loaded.classifier)
    # No part of the digest, yet another crop gives other pixels and so other false-positive rates.
    if loaded.preprocessing != Preprocessing.from_dict(bundle.record.preprocessing):
        raise InputError(
            f"the bundle was calibrated with the preprocessing {bundle.record.preprocessing}, and {name} has "
            f"{loaded.preprocessing.to_dict()}; restore it, or calibrate again"
        )
    return loaded


def require_searchable(bundle: Bundle, loaded: LoadedClassifier) -> None:
    """Refuse a classifier without gradients where the bundle searches paths of images in doubt.

    Raises:
        InputError: that is so.
    """
    if bundle.second_opinion is not None and not loaded.is_differentiable:
        raise InputError(
            f"the bundle searches lower paths for images in doubt, and {loaded.name} gives no gradient to search with: "
            f"{' '.join(loaded.limits) or 'the network has none'}; load it with gradients, or calibrate without "
            "--escalate"
        )


def require_runtime(runtime: RuntimeName, device: str) -> None:
    """Refuse a runtime that would do nothing on a device.

    Args:
        device: the kind of it, `cpu` or `cuda`.

    Raises:
        InputError: it is CUDA graphs, and the device has none.
    """
    if runtime is RuntimeName.TORCH_GRAPHS and device != "cuda":
        raise InputError(
            f"--runtime {runtime} replays CUDA graphs, and this computes on {device}; take a CUDA device, or "
            f"--runtime {RuntimeName.TORCH}"
        )


def open_auxiliary(bundle: Bundle, choice: ClassifierChoice) -> Classifier | None:
    """Load the auxiliary classifier that a bundle was calibrated with, where it was.

    Raises:
        InputError: it is not a registered one and no spec is given.
        ModelError, BundleError: it cannot be loaded, or is another one.
    """
    record = bundle.record.auxiliary
    if record is None:
        return None
    name = choice.auxiliary or record.classifier
    if choice.auxiliary is None and name not in names():
        raise InputError(
            f"the bundle asks the auxiliary classifier {name!r}, which is not a registered one; "
            "add --auxiliary with the SPEC.toml that it was made from"
        )
    auxiliary = load_classifier(name, device=choose_device(choice.device)).classifier
    bundle.check_auxiliary(auxiliary)
    return auxiliary


def digest_of(source: str) -> str:
    """The sha256 over a bundle's files, by their names: what verdicts were made with."""
    folder = SHIPPED_BUNDLES / source if source in shipped_names() else Path(source)
    digest = hashlib.sha256()
    for name in (RECORD_FILE, TENSOR_FILE):
        content = (folder / name).read_bytes()
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def open_detector(
    name: str, *, false_positive_rate: float, choice: ClassifierChoice, progress: ProgressCallback = no_progress
) -> OpenedDetector:
    """Load a bundle and its classifier.

    Args:
        progress: told of the export, where another runtime needs one.

    Raises:
        InputError, BundleError, ModelError: either cannot be had; see `open_bundle` and `open_classifier`.
        CalibrationError: the bundle cannot support the false-positive rate.
        ExportError: the runtime that is chosen cannot compute the detector.
    """
    bundle = open_bundle(name)
    require_runtime(choice.runtime, choose_device(choice.device).type)
    loaded = open_classifier(bundle, choice)
    require_searchable(bundle, loaded)
    auxiliary = open_auxiliary(bundle, choice)
    acceleration = ACCELERATIONS.get(choice.runtime)
    detector = Detector(loaded.classifier, bundle, false_positive_rate, auxiliary=auxiliary, acceleration=acceleration)
    if choice.runtime is RuntimeName.ONNXRUNTIME:
        detector = Detector(
            loaded.classifier,
            bundle,
            false_positive_rate,
            auxiliary=auxiliary,
            measure_straight=_on_onnx_runtime(detector, choice, digest_of(name), progress),
            search_classifier=None if bundle.second_opinion is None else _searching_on_onnx_runtime(loaded),
        )
    return OpenedDetector(detector=detector, preprocessing=loaded.preprocessing, labels=tuple(bundle.record.labels))


def _on_onnx_runtime(
    detector: Detector, choice: ClassifierChoice, digest: str, progress: ProgressCallback
) -> MeasureStraight:
    from service.onnx_backend import measure_with_onnx_runtime  # noqa: PLC0415

    bundle, straight = detector.bundle, detector.straight_paths
    if detector.classifier.device.type != "cpu":
        # Weights are read by the exporter where they lie in ordinary memory.
        there = dataclasses.replace(choice, device="cpu")
        classifier = open_classifier(bundle, there).classifier
        straight = StraightPaths.of(bundle, classifier, open_auxiliary(bundle, there))
    return measure_with_onnx_runtime(detector, straight, digest, progress)


def _searching_on_onnx_runtime(loaded: LoadedClassifier) -> Classifier | None:
    """None where the gradient is no graph: PyTorch searches on, as it can."""
    from models.onnx_files.vjp import search_on_onnx_runtime  # noqa: PLC0415

    try:
        return search_on_onnx_runtime(loaded.classifier)
    except ModelError as error:
        logger.warning("lower paths are searched with PyTorch: %s", error)
        return None
