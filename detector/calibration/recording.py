"""What a calibration writes down about the bundle that it made."""

import dataclasses
import datetime
import hashlib
import platform
import time
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from detector.bundle import Bundle
from detector.bundle_record import SCHEMA_VERSION, AuxiliaryRecord, BundleRecord, HeadKind, ProxySource
from detector.calibration.settings import CalibrationSettings
from detector.calibration.splits import Splits, image_digests
from detector.profiles import Auxiliary, PathProfiler
from detector.prototypes.prototype_set import PrototypeKind


@dataclasses.dataclass(frozen=True, kw_only=True)
class Provenance:
    """What the classifier's own package knows about it, kept in the bundle.

    Attributes:
        classifier: name under which it can be loaded again.
        preprocessing: how a picture becomes its input.
        auxiliary: the same for the auxiliary classifier, where there is one.
        notes: what whoever uses the bundle should know about how it was made, a sentence each.
    """

    classifier: str
    preprocessing: Mapping[str, Any]
    auxiliary: str | None = None
    notes: tuple[str, ...] = ()


def noted(provenance: Provenance, without_images: Bool[Tensor, " label"]) -> Provenance:
    """With a sentence about the labels that have prototypes and no images, if there are any."""
    n_without = int(without_images.sum())
    if n_without == 0:
        return provenance
    sentence = (
        f"{n_without} of {len(without_images)} labels have prototypes, and calibration saw no image of them: a verdict "
        "on one of them rests on its prototypes and on what is typical of any label, and how often it is a false alarm "
        "was not measured."
    )
    return dataclasses.replace(provenance, notes=(*provenance.notes, sentence))


def used_digests(splits: Splits, start: Bundle | None) -> list[bytes]:
    """Of every image that had a part in a bundle, also where the prototypes that it took over were learned."""
    used = [splits.statistics, splits.learning, splits.conformal]
    digests = {digest for part in used for digest in image_digests(part.images)}
    earlier = frozenset() if start is None else start.used_digests
    return sorted(digests | earlier)


def bundle_record(
    profiler: PathProfiler,
    provenance: Provenance,
    *,
    settings: CalibrationSettings,
    kinds: tuple[PrototypeKind, ...],
    n_features: int,
    measured: dict[str, float],
    digests: list[bytes],
    started: float,
) -> BundleRecord:
    """Everything that `bundle.json` holds; `started` is what `time.perf_counter` said then."""
    classifier, head = profiler.classifier, _HEAD_KINDS[settings.proxy_source]
    return BundleRecord(
        schema_version=SCHEMA_VERSION,
        classifier=provenance.classifier,
        classifier_digest=classifier.digest(),
        input_shape=classifier.input_shape,
        labels=classifier.labels,
        preprocessing=dict(provenance.preprocessing),
        prototype_kinds=kinds,
        blocks=tuple(profiler.gaussians),
        hidden=() if head is HeadKind.TYPICALITY else settings.hidden,
        n_features=n_features,
        false_positive_rates=settings.false_positive_rates,
        seed=settings.seed,
        settings=dataclasses.asdict(settings),
        measured=measured,
        data_digest=hashlib.sha256(b"".join(digests)).hexdigest(),
        versions={"torch": torch.__version__, "python": platform.python_version()},
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
        seconds=round(time.perf_counter() - started, 1),
        smoothings=profiler.smoothings,
        auxiliary=None if profiler.auxiliary is None else _auxiliary_record(profiler.auxiliary, provenance),
        head=head,
        proxies=settings.proxy_source,
        notes=provenance.notes,
    )


_HEAD_KINDS = {
    ProxySource.GRADIENT: HeadKind.LEARNED,
    ProxySource.BLACK_BOX: HeadKind.JOINED,
    ProxySource.NONE: HeadKind.TYPICALITY,
}


def _auxiliary_record(auxiliary: Auxiliary, provenance: Provenance) -> AuxiliaryRecord:
    return AuxiliaryRecord(
        classifier=provenance.auxiliary or "",
        classifier_digest=auxiliary.profiler.classifier.digest(),
        blocks=tuple(auxiliary.profiler.gaussians),
        n_prototypes=auxiliary.n_prototypes,
    )
