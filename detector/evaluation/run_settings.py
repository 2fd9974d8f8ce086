"""What a run was asked for, written beside its results, so that a folder never holds pieces of two different runs."""

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from detector.bundle import Bundle
from detector.bundle_record import RECORD_FILE
from detector.detector import Detector
from detector.evaluation.adaptive import AdaptiveSpec
from detector.evaluation.attacks import AttackSpec
from detector.evaluation.shards import write_whole
from detector.types import DetectorError, LabelledImages

RUN_FILE = "run.json"
RUN_SCHEMA_VERSION = 1
DEFAULT_RUNTIME = "torch"

_GROWING = ("attacks", "adaptive", "baselines")
_PACKAGES = ("isthmus", "torch", "torchattacks")
_ABSENT = "absent"


class RunError(DetectorError):
    """A folder that holds another run, or something else."""


class RunSettings(BaseModel):
    """What `run.json` holds.

    Attributes:
        bundles: digest of each, by name.
        classifier, images: digests; that of the images covers their labels and order.
        limit: clean images that each attack is run on, at most.
        attacks, adaptive: what each name stands for. More may be added to a run.
        baselines: whether detectors of others were asked for.
        runtime: what computed straight paths.
        versions: of the packages that decide the figures.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = RUN_SCHEMA_VERSION
    bundles: dict[str, str]
    classifier: str
    images: str
    limit: int
    seed: int
    attacks: dict[str, str]
    adaptive: dict[str, str]
    baselines: bool
    runtime: str = DEFAULT_RUNTIME
    versions: dict[str, str]

    def shared(self) -> dict[str, Any]:
        """What holds for every attack of the run."""
        return self.model_dump(exclude={*_GROWING, "schema_version"})


def settings_of(
    detectors: Mapping[str, Detector],
    data: LabelledImages,
    specs: Sequence[AttackSpec],
    *,
    limit: int,
    seed: int,
    adaptive: Sequence[AdaptiveSpec] = (),
    baselines: bool = False,
    runtime: str = DEFAULT_RUNTIME,
) -> RunSettings:
    """The settings of a run that is about to start."""
    return RunSettings(
        bundles={name: bundle_digest(detector.bundle) for name, detector in detectors.items()},
        classifier=next(iter(detectors.values())).classifier.digest(),
        images=_images_digest(data),
        limit=limit,
        seed=seed,
        attacks={spec.name: _described(spec) for spec in specs},
        adaptive={spec.name: f"{spec.title} · at most {spec.most_images} images" for spec in adaptive},
        baselines=baselines,
        runtime=str(runtime),
        versions={package: number for package in _PACKAGES if (number := _version(package)) is not None},
    )


def open_run(folder: Path, asked: RunSettings) -> RunSettings:
    """Start a run in a folder, or go on with the one that is there, and write down what it now consists of.

    Returns:
        The settings with the attacks that the run had already; those come first.

    Raises:
        RunError: the folder holds another run or something else.
        OSError: `run.json` cannot be written.
    """
    path = folder / RUN_FILE
    merged = asked
    if path.exists():
        merged = _merged(_read(path), asked, folder)
    elif folder.exists() and any(folder.iterdir()):
        raise RunError(f"{folder} holds other files and no {RUN_FILE}; name a new folder for the run")
    write_whole(path, (json.dumps(merged.model_dump(), indent=2, ensure_ascii=False) + "\n").encode())
    return merged


def bundle_digest(bundle: Bundle) -> str:
    """sha256 over what a bundle's folder holds, but for when and how fast it was made."""
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "bundle"
        bundle.save(written)
        record = bundle.record.model_dump_json(exclude={"created", "seconds"})
        digest = hashlib.sha256(record.encode())
        for file in sorted(written.iterdir()):
            if file.name != RECORD_FILE:
                digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def _images_digest(data: LabelledImages) -> str:
    digest = hashlib.sha256(str(tuple(data.images.shape)).encode())
    digest.update(data.images.cpu().contiguous().numpy().tobytes())
    digest.update(data.labels.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _described(spec: AttackSpec) -> str:
    parameters = [f"{name}={value}" for name, value in sorted(spec.parameters.items())]
    most = [] if spec.most_images is None else [f"at most {spec.most_images} images"]
    return " · ".join([spec.title, *parameters, *most])


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _read(path: Path) -> RunSettings:
    try:
        settings = RunSettings.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise RunError(f"{path} cannot be read as a run's settings; name a new folder for the run") from error
    if settings.schema_version != RUN_SCHEMA_VERSION:
        raise RunError(
            f"{path} has schema {settings.schema_version}, this version writes {RUN_SCHEMA_VERSION}; "
            "name a new folder for the run"
        )
    return settings


def _merged(before: RunSettings, asked: RunSettings, folder: Path) -> RunSettings:
    differences = list(_differences(before, asked))
    if differences:
        raise RunError(
            f"{folder} holds a run with other settings: {'; '.join(differences)}; "
            "give the settings it was started with, or name a new folder"
        )
    return asked.model_copy(
        update={
            "attacks": before.attacks | asked.attacks,
            "adaptive": before.adaptive | asked.adaptive,
            "baselines": before.baselines or asked.baselines,
            "versions": before.versions | asked.versions,
        }
    )


def _differences(before: RunSettings, asked: RunSettings) -> Iterator[str]:
    """What cannot be in one run, as "limit was 60, now 12"; attacks, and versions, of one run alone may differ."""
    for key in ("bundles", "classifier", "images", "limit", "seed", "runtime"):
        yield from _changes(key, getattr(before, key), getattr(asked, key))
    for key in ("attacks", "adaptive", "versions"):
        old, new = getattr(before, key), getattr(asked, key)
        shared = [name for name in old if name in new]
        yield from _changes(key, {name: old[name] for name in shared}, {name: new[name] for name in shared})


def _changes(key: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, dict):
        for name in {**old, **new}:
            yield from _changes(f"{key}.{name}", old.get(name, _ABSENT), new.get(name, _ABSENT))
    elif old != new:
        yield f"{key} was {_short(old)}, now {_short(new)}"


def _short(value: Any) -> str:
    text = str(value)
    is_digest = len(text) == 64 and all(character in "0123456789abcdef" for character in text)
    return f"{text[:12]}…" if is_digest else text
