"""What a benchmark is asked for, and which contenders follow from it."""

import dataclasses
import itertools
import os
from pathlib import Path

import torch

from detector.presets import Preset
from service.bench.contenders import Calibrated, Contender, MadeUp, Subject, open_bare, require_devices
from service.bench.timing import require_rounds
from service.bundles import open_bundle, require_runtime, shipped_names
from service.devices import choose_device
from service.errors import InputError
from service.options import DEFAULT_BUNDLE, RuntimeName
from service.outputs import require_writable


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchRequest:
    """As the command's options.

    Attributes:
        bundles: folders, or names of shipped ones.
        classifiers: registered names and SPEC.toml files; made-up bundles are made for them, and a bundle whose
            classifier is not registered takes the first SPEC.toml.
        batch: images of one step; each detector's own number if not given.
        images: an image set; noise if not given.
        has_memory: whether peaks are measured, each in a process of its own.
    """

    bundles: tuple[str, ...] = ()
    presets: tuple[Preset, ...] = ()
    classifiers: tuple[str, ...] = ()
    auxiliary: str | None = None
    devices: tuple[str, ...] = ()
    runtimes: tuple[RuntimeName, ...] = (RuntimeName.TORCH,)
    batch: int | None = None
    images: str | None = None
    rounds: int = 5
    has_memory: bool = True
    has_peers: bool = False
    has_scaling: bool = False
    out: Path | None = None

    @property
    def device_names(self) -> tuple[str, ...]:
        """Those asked for; the one that every command takes by default if there is none."""
        return self.devices or (str(choose_device(None)),)


def check(request: BenchRequest) -> None:
    """Refuse in a moment what can be refused in a moment.

    Raises:
        InputError, DetectorError, ModelError: an option is not what it should be.
    """
    require_rounds(request.rounds)
    if request.batch is not None and request.batch < 1:
        raise InputError(f"--batch {request.batch} judges nothing; give 1 or more")
    if request.out is not None:
        if request.out.is_dir():
            raise InputError(f"{request.out} is a folder; give --out the name of a file")
        require_writable(request.out.parent)
    require_devices(list(request.device_names))
    for runtime, device in itertools.product(request.runtimes, request.device_names):
        require_runtime(runtime, choose_device(device).type)
    if RuntimeName.ONNXRUNTIME in request.runtimes:
        from models.onnx_files.packages import require_onnx  # noqa: PLC0415

        require_onnx()
    for name in request.bundles:
        open_bundle(name)
    for name in _classifiers(request):
        open_bare(name, "cpu")


def contenders(request: BenchRequest) -> tuple[Contender, ...]:
    """Every subject on every device in every runtime.

    By default the shipped bundles, and made-up ones of every preset for the classifier of the default bundle.
    """
    found = itertools.product(_subjects(request), dict.fromkeys(request.device_names), dict.fromkeys(request.runtimes))
    return tuple(Contender(subject=subject, device=device, runtime=runtime) for subject, device, runtime in found)


def _subjects(request: BenchRequest) -> tuple[Subject, ...]:
    specs = [name for name in request.classifiers if name.endswith(".toml")]
    spec = specs[0] if specs else None
    bundles = request.bundles if _has_wishes(request) else shipped_names()
    calibrated = [_calibrated(bundle, spec, request.auxiliary) for bundle in dict.fromkeys(bundles)]
    pairs = itertools.product(dict.fromkeys(_classifiers(request)), dict.fromkeys(request.presets or tuple(Preset)))
    made_up = [MadeUp(preset=preset, classifier=classifier) for classifier, preset in pairs]
    return (*calibrated, *made_up)


def _has_wishes(request: BenchRequest) -> bool:
    return bool(request.bundles or request.presets or request.classifiers)


def _classifiers(request: BenchRequest) -> tuple[str, ...]:
    """Those that made-up bundles are made for."""
    if request.bundles and not request.presets:
        return ()
    return request.classifiers or (open_bundle(DEFAULT_BUNDLE).record.classifier,)


def _calibrated(name: str, spec: str | None, auxiliary: str | None) -> Calibrated:
    from models.registry import names  # noqa: PLC0415

    record = open_bundle(name).record
    needs_spec = record.classifier not in names()
    return Calibrated(
        bundle=name,
        classifier=spec if needs_spec else None,
        auxiliary=auxiliary if record.auxiliary is not None and record.auxiliary.classifier not in names() else None,
    )


def settle_threads() -> int:
    """One thread, unless `--threads` or OMP_NUM_THREADS say otherwise; returns how many.

    Small networks gain little from a second thread, and figures of one compare from machine to machine.
    """
    if not os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(1)
    return torch.get_num_threads()
