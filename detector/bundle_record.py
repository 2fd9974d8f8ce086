"""What is written down about a bundle, and how it is read back."""

import enum
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from detector.early_exit import Look
from detector.prototypes.prototype_set import PrototypeKind
from detector.search import MethodName, PotentialKind
from detector.smoothing import Smoothing
from detector.types import BundleError

SCHEMA_VERSION = 5
"""2: a second opinion may be there. 3: smoothed versions and an auxiliary classifier may be. 4: the head may
have met clean images alone, or be two, and statistics may be of low rank. 5: images may leave after a first look."""
RECORD_FILE = "bundle.json"


class HeadKind(enum.StrEnum):
    """What judges the evidence: a network fitted to proxies, a distance from what clean images show, or both."""

    LEARNED = "learned"
    TYPICALITY = "typicality"
    JOINED = "joined"


class ProxySource(enum.StrEnum):
    """What the proxies were made with: the classifier's gradient, its logits alone; or there were none."""

    GRADIENT = "gradient"
    BLACK_BOX = "black-box"
    NONE = "none"


class EscalationRecord(BaseModel):
    """What `bundle.json` holds about the second opinion: its settings, the band of doubt and the head's size."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: MethodName
    potential: PotentialKind
    budget: int
    resolution: int
    doubt: tuple[float, float]
    band: tuple[float, float]
    hidden: tuple[int, ...]
    n_features: int


class AuxiliaryRecord(BaseModel):
    """What `bundle.json` holds about the second network: which it is, its blocks, and how many paths it looks along."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    classifier: str
    classifier_digest: str
    blocks: tuple[str, ...]
    n_prototypes: int


class EarlyExitRecord(BaseModel):
    """What `bundle.json` holds about the early exit.

    Attributes:
        looks: what the first look takes in besides the image.
        leave_below: log-odds of its head below which an image leaves that is ordinary.
        ordinary_below: log-distance from what clean images show below which it is.
        hidden: widths of the head.
        n_features: what both judges take.
        leaving_share: of the clean images that p-values are read off, on which nothing was chosen.
        proxies_leaving: share of the proxies that leave, in the trial.
        forward_equivalents: what a verdict on a clean image costs on average.
        auroc, auroc_without: of clean images against proxies in the trial, with the early exit and without.
        seed: of the batches that it was made with.
        added_to: sha256 of the bundle that it was added to, where it was not made with the bundle.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    looks: tuple[Look, ...]
    leave_below: float
    ordinary_below: float
    hidden: tuple[int, ...]
    n_features: int
    leaving_share: float = Field(ge=0, lt=1)
    forward_equivalents: float = Field(gt=0)
    proxies_leaving: float
    auroc: float
    auroc_without: float
    seed: int
    added_to: str | None = None


class BundleRecord(BaseModel):
    """What `bundle.json` holds.

    Attributes:
        classifier: name under which the classifier can be loaded again.
        classifier_digest: of the classifier that was calibrated; no other is served.
        preprocessing: how a picture becomes the classifier's input, as the classifier's own package writes it.
        hidden: widths of the head's hidden layers.
        false_positive_rates: those asked for at calibration.
        measured: figures of the calibration, by name.
        data_digest: sha256 over the digests of all calibration images.
        seconds: how long calibration took.
        smoothings: smoothed versions of the image that are looked at too.
        escalation: None where straight paths decide alone.
        auxiliary: None where no second network is asked.
        early_exit: None where every image is measured in full.
        head: what judges the evidence of the straight paths.
        proxies: what the proxies of the calibration were made with.
        notes: what whoever uses the bundle should know about how it was made, a sentence each.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int
    classifier: str
    classifier_digest: str
    input_shape: tuple[int, int, int]
    labels: tuple[str, ...]
    preprocessing: dict[str, Any]
    prototype_kinds: tuple[PrototypeKind, ...]
    blocks: tuple[str, ...]
    hidden: tuple[int, ...]
    n_features: int
    false_positive_rates: tuple[float, ...]
    seed: int
    settings: dict[str, Any]
    measured: dict[str, float]
    data_digest: str
    versions: dict[str, str]
    created: str
    seconds: float
    smoothings: tuple[Smoothing, ...] = ()
    escalation: EscalationRecord | None = None
    auxiliary: AuxiliaryRecord | None = None
    early_exit: EarlyExitRecord | None = None
    head: HeadKind = HeadKind.LEARNED
    proxies: ProxySource = ProxySource.GRADIENT
    notes: tuple[str, ...] = ()

    @property
    def possible_looks(self) -> tuple[Look, ...]:
        """What a first look may take in besides the image: no more than the full evidence does."""
        has = {Look.AUXILIARY: self.auxiliary is not None, Look.SMOOTHED: bool(self.smoothings)}
        return tuple(look for look in Look if has[look])


def is_bundle(folder: Path) -> bool:
    """Whether a folder claims to be a bundle."""
    return (folder / RECORD_FILE).is_file()


def read_record(folder: Path) -> BundleRecord:
    """Read `bundle.json`.

    Raises:
        BundleError: it is missing, damaged, or of a schema that this version does not know.
    """
    path = folder / RECORD_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BundleError(f"{folder} is no bundle: it has no {RECORD_FILE}; `isthmus calibrate` makes one") from error
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read ({error}); copy the bundle again") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if not isinstance(version, int):
        raise BundleError(f"{path} names no schema version; copy the bundle again")
    if version > SCHEMA_VERSION:
        raise BundleError(
            f"{folder} has bundle schema {version}, and this version reads up to {SCHEMA_VERSION}; upgrade isthmus"
        )
    try:
        return BundleRecord.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise BundleError(f"{path}: {where}: {problem['msg']}; copy the bundle again") from error
