"""From a request and a bundle to what is written down of an audit, and to what its workers are told."""

import dataclasses
import importlib.metadata
import os
from pathlib import Path

import torch

from detector.bundle import Bundle
from service.bundles import ClassifierChoice, digest_of, require_runtime, shipped_names
from service.devices import choose_device
from service.offline.audit_request import AuditRequest
from service.offline.cluster.ray_devices import require_ray_device
from service.offline.folder.contract import Contract, columns_record
from service.offline.judging.chunks import chunk_images
from service.offline.sources.source import Source
from service.offline.work import WorkerSettings
from service.options import AuditEngine


def contract_of(request: AuditRequest, bundle: Bundle, source: Source) -> Contract:
    """What `audit.json` says: what is audited, and with what.

    Raises:
        CalibrationError: the bundle cannot support the false-positive rate.
        InputError: the runtime would do nothing on the device, or Ray does not deal out such devices.
        ModelError: the device that was asked for is not there.
    """
    record = bundle.record
    bundle.require(request.false_positive_rate)
    device = _device_kind(request)
    require_runtime(request.choice.runtime, device)
    return Contract(
        bundle=Path(request.bundle).resolve().name,
        bundle_digest=digest_of(request.bundle),
        classifier=record.classifier,
        classifier_digest=record.classifier_digest,
        preprocessing=record.preprocessing,
        labels=record.labels,
        false_positive_rate=request.false_positive_rate,
        n_calibration=len(bundle.conformal.scores),
        runtime=request.choice.runtime.value,
        chunk_images=chunk_images(bundle, device, request.choice.runtime),
        source=source.description,
        columns=columns_record(source.columns),
        shard_size=request.shard_size,
        device=device,
        n_threads=_threads(request) if device == "cpu" else None,
        isthmus_version=importlib.metadata.version("isthmus"),
        torch_version=torch.__version__,
    )


def worker_settings(request: AuditRequest, contract: Contract, source: Source) -> WorkerSettings:
    """What a worker needs, wherever it is: paths are absolute."""
    is_shipped = request.bundle in shipped_names()
    return WorkerSettings(
        bundle=request.bundle if is_shipped else str(Path(request.bundle).resolve()),
        bundle_digest=contract.bundle_digest,
        choice=_absolute(request.choice),
        false_positive_rate=request.false_positive_rate,
        columns=source.columns,
        chunk_images=contract.chunk_images,
        allow_urls=request.allow_urls,
        n_readers=request.readers,
    )


def _device_kind(request: AuditRequest) -> str:
    """Of the workers; the machine that hands out shards to a cluster need not have what it names."""
    name = request.choice.device
    if request.engine is AuditEngine.RAY and name is not None:
        return require_ray_device(name)
    return choose_device(name).type


def _threads(request: AuditRequest) -> int:
    """One, if nothing else is said: more would change the last digits from machine to machine."""
    is_said = "OMP_NUM_THREADS" in os.environ and request.engine is AuditEngine.EMBEDDED
    return torch.get_num_threads() if is_said else 1


def _absolute(choice: ClassifierChoice) -> ClassifierChoice:
    return dataclasses.replace(
        choice,
        name_or_spec=_absolute_spec(choice.name_or_spec),
        auxiliary=_absolute_spec(choice.auxiliary),
        weights=None if choice.weights is None else choice.weights.resolve(),
    )


def _absolute_spec(name_or_spec: str | None) -> str | None:
    """A registered name stays as it is."""
    is_file = name_or_spec is not None and Path(name_or_spec).is_file()
    return str(Path(name_or_spec).resolve()) if name_or_spec is not None and is_file else name_or_spec
