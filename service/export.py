"""`isthmus export`: a detector as one file for ONNX Runtime, compared with PyTorch before it gets its name."""

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detector.evidence import Evidence
from detector.files import replace_atomically
from detector.onnx_export.exporting import ExportError
from detector.types import Images, ProgressCallback, StoredImages
from models.classifier import Classifier
from models.onnx_files.gradient_checks import GradientAgreement
from models.onnx_files.packages import require_onnx
from service.agreement import Agreement, Answers, agreement_with, handful
from service.bundles import ClassifierChoice, OpenedDetector, digest_of, open_detector
from service.console import printable, results, write_json
from service.errors import InputError
from service.imagesets import load_image_set
from service.onnx_graphs import FORMAT_VERSION, LABELS_KEY, serialised, verdict_model, verdicts_of
from service.outputs import require_writable
from service.progress import progress_bars
from service.triton import TritonModel, check_triton_place, write_triton_model

MOST_IMAGES, FEWEST_IMAGES = 64, 8
"""Between these lie the images that Triton may put into one batch; memory grows with them and their paths."""

GRADIENT_SUFFIX = ".gradient.onnx"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportRequest:
    """What is to be exported, and how.

    Attributes:
        bundle: a bundle's folder, or the name of a shipped one.
        out: the file.
        with_gradient: whether the classifier's gradient is written beside it, as a graph of its own.
        triton: a model repository to put the graphs into as well.
        verify: an image set to compare the file with PyTorch on.
        limit: take at most so many of its images.
        download: whether `cifar10` may be fetched from the internet.
    """

    bundle: str
    choice: ClassifierChoice
    out: Path
    false_positive_rate: float
    with_gradient: bool = False
    triton: Path | None = None
    verify: str | None = None
    limit: int | None = None
    download: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Exported:
    """What was made, before anything of it is written.

    Attributes:
        checked: on a handful of images of noise and prototypes.
        verified: on the images that were named, if any were.
        gradient_checked: against torch's, where it was asked for.
    """

    model: Any
    gradient: Any
    gradient_checked: GradientAgreement | None
    provider: str
    seconds: float
    checked: Agreement
    verified: Agreement | None

    @property
    def faults(self) -> tuple[str, ...]:
        return (*self.checked.faults, *(self.verified.faults if self.verified else ()))


def run_export(request: ExportRequest, *, json: bool) -> None:
    """Write the file and say what is in it; nothing is written where it disagrees with PyTorch.

    Raises:
        InputError, DetectorError, ModelError: the detector cannot be had, or be exported, or the file not be written.
        ExportError: the file says something else than PyTorch; the figures have been written to stdout.
    """
    _check_places(request)
    require_onnx()
    with progress_bars() as progress:
        opened = open_detector(
            request.bundle, false_positive_rate=request.false_positive_rate, choice=request.choice, progress=progress
        )
        images = None if request.verify is None else _load(request.verify, opened, request, progress)
        with replace_atomically(request.out) as temporary:
            exported = _export(request, opened, images, temporary, progress)
            if exported.faults:
                _report(request, exported, {}, json=json)
                raise ExportError(
                    f"the exported graph does not say what PyTorch says: {'; '.join(exported.faults)}; nothing was "
                    "written"
                )
        written = {"file": request.out} | _write_others(request, opened, exported)
    _report(request, exported, written, json=json)


def _check_places(request: ExportRequest) -> None:
    if request.out.is_dir():
        raise InputError(f"{request.out} is a folder; name a file to write, such as {request.out / 'detector.onnx'}")
    require_writable(request.out.parent)
    if request.triton is not None:
        for name in (request.out.stem, *([gradient_name(request.out)] if request.with_gradient else [])):
            check_triton_place(request.triton, name)
        require_writable(request.triton)


def gradient_name(out: Path) -> str:
    """Of the gradient beside a file, in a repository of models."""
    return f"{out.stem}-gradient"


def _differentiated(opened: OpenedDetector) -> Classifier:
    """The classifier whose gradient is asked for.

    Raises:
        ExportError: there is none to export.
    """
    from models.onnx_files.gradient import runs_in_onnx_runtime  # noqa: PLC0415

    classifier = opened.detector.classifier
    if not isinstance(classifier, Classifier):
        raise ExportError("this classifier's gradient cannot be exported, as it is none of the package's own")
    if runs_in_onnx_runtime(classifier):
        raise ExportError(
            "this classifier is a graph that ONNX Runtime runs, which has no gradient to export; leave out "
            "--with-gradient, or load it with torch"
        )
    return classifier


def _load(source: str, opened: OpenedDetector, request: ExportRequest, progress: ProgressCallback) -> StoredImages:
    data = load_image_set(
        source,
        opened.preprocessing,
        labels=opened.labels,
        limit=request.limit,
        download=request.download,
        progress=progress,
    )
    return data.images


def _export(
    request: ExportRequest,
    opened: OpenedDetector,
    images: StoredImages | None,
    temporary: Path,
    progress: ProgressCallback,
) -> _Exported:
    from models.onnx_files.sessions import open_session  # noqa: PLC0415

    gradient = _gradient(_differentiated(opened)) if request.with_gradient else None
    started = time.monotonic()
    detector = opened.detector
    model = verdict_model(opened, digest_of(request.bundle), progress)
    temporary.write_bytes(serialised(model))
    seconds = time.monotonic() - started
    session = open_session(temporary, detector.classifier.device)

    def rendering(pixels: Images, _expected: Evidence) -> Answers:
        return verdicts_of(session, pixels)

    return _Exported(
        model=model,
        gradient=None if gradient is None else gradient[0],
        gradient_checked=None if gradient is None else gradient[1],
        provider=session.get_providers()[0],
        seconds=seconds,
        checked=agreement_with(detector, rendering, handful(detector)),
        verified=None if images is None else agreement_with(detector, rendering, images, progress=progress),
    )


def _gradient(classifier: Classifier) -> tuple[Any, GradientAgreement]:
    """The graph, and how far it agrees with torch.

    Raises:
        ModelError: it cannot be made, or does not give torch's gradient.
    """
    from models.onnx_files.gradient import export_gradient  # noqa: PLC0415
    from models.onnx_files.vjp import compare_with_torch  # noqa: PLC0415

    model = export_gradient(classifier)
    serialised(model)
    return model, compare_with_torch(model, classifier)


def _write_others(request: ExportRequest, opened: OpenedDetector, exported: _Exported) -> dict[str, Path]:
    written = {}
    graphs = {request.out.stem: exported.model}
    if exported.gradient is not None:
        beside = request.out.with_suffix(GRADIENT_SUFFIX)
        with replace_atomically(beside) as temporary:
            temporary.write_bytes(serialised(exported.gradient))
        graphs[gradient_name(request.out)] = exported.gradient
        written["gradient"] = beside
    if request.triton is not None:
        for name, model in graphs.items():
            write_triton_model(request.triton, _triton_model(name, model, opened))
        written["triton"] = request.triton
    return written


def _triton_model(name: str, model: Any, opened: OpenedDetector) -> TritonModel:
    return TritonModel(
        name=name,
        model=model,
        max_images=min(MOST_IMAGES, max(FEWEST_IMAGES, opened.detector.images_per_step)),
        labels=opened.labels,
        parameters={prop.key: prop.value for prop in model.metadata_props if prop.key != LABELS_KEY},
    )


def _report(request: ExportRequest, exported: _Exported, written: Mapping[str, Path], *, json: bool) -> None:
    record = {
        "bundle": request.bundle,
        "false_positive_rate": request.false_positive_rate,
        "format_version": FORMAT_VERSION,
        "provider": exported.provider,
        "bytes": exported.model.ByteSize(),
        "seconds": round(exported.seconds, 2),
        "written": {name: str(path) for name, path in written.items()},
        "checked": exported.checked.to_record(),
        "verified": None if exported.verified is None else exported.verified.to_record(),
        "gradient": None if exported.gradient_checked is None else dataclasses.asdict(exported.gradient_checked),
    }
    if json:
        write_json(record)
        return
    for name, path in written.items():
        size = f", {record['bytes'] / 1e6:.2f} MB after {exported.seconds:.0f} s" if name == "file" else ""
        results.print(f"{name}: {printable(path)}{size}", markup=False, emoji=False)
    results.print(
        f"noise and prototypes, {exported.provider}: {exported.checked.in_words()}", markup=False, emoji=False
    )
    if exported.verified is not None:
        results.print(f"{printable(request.verify or '')}: {exported.verified.in_words()}", markup=False, emoji=False)
    if exported.gradient_checked is not None:
        results.print(f"torch's gradient: {exported.gradient_checked.in_words()}", markup=False, emoji=False)
