"""Metrics that are read when Prometheus asks, from whoever knows them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

import torch
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from service.observability.drift_monitor import DriftMonitor
from service.runtime import ServedBundle


class Load(Protocol):
    """How busy an engine is."""

    @property
    def n_queued(self) -> int: ...

    @property
    def n_computing(self) -> int: ...


class Loaded(Protocol):
    """An engine, as far as it is looked at here."""

    @property
    def is_ready(self) -> bool: ...

    @property
    def is_live(self) -> bool: ...

    def load(self) -> Load: ...


class EngineGauges(Collector):
    """What waits and what is computed; idle until there is an engine."""

    def __init__(self) -> None:
        self.engine: Loaded | None = None

    def summary(self) -> dict[str, Any]:
        """The same for the live statistics."""
        engine = self.engine
        load = engine.load() if engine else None
        return {
            "waiting": load.n_queued if load else 0,
            "computing": load.n_computing if load else 0,
            "is_ready": engine.is_ready if engine else False,
            "is_live": engine.is_live if engine else True,
        }

    def collect(self) -> Iterator[Metric]:
        now = self.summary()
        for name, text, value in (
            ("isthmus_queue_images", "Images that wait for the device.", now["waiting"]),
            ("isthmus_computing_images", "Images on the device.", now["computing"]),
            ("isthmus_ready", "1 where requests are accepted.", now["is_ready"]),
            ("isthmus_live", "1 unless the device failed for good or hangs.", now["is_live"]),
        ):
            yield GaugeMetricFamily(name, text, value=value)


class BundleGauges(Collector):
    """What is served, and how its p-values drift."""

    def __init__(self, bundles: Iterable[ServedBundle], drift: Mapping[str, DriftMonitor]) -> None:
        self._digests = {bundle.name: bundle.digest for bundle in bundles}
        self._drift = drift

    def collect(self) -> Iterator[Metric]:
        info = GaugeMetricFamily("isthmus_bundle_info", "1 for each bundle served.", labels=("bundle", "digest"))
        for name, digest in self._digests.items():
            info.add_metric((name, digest), 1)
        alarm = GaugeMetricFamily(
            "isthmus_drift_alarm", "1 while p-values are not those of clean images.", labels=("bundle",)
        )
        evidence = GaugeMetricFamily(
            "isthmus_drift_evidence", "Decimal logarithm of the evidence for drift.", labels=("bundle",)
        )
        alarms = CounterMetricFamily("isthmus_drift_alarms", "Drift alarms that went off.", labels=("bundle",))
        for name, monitor in self._drift.items():
            alarm.add_metric((name,), monitor.is_alarmed)
            evidence.add_metric((name,), monitor.evidence)
            alarms.add_metric((name,), monitor.n_alarms)
        yield from (info, alarm, evidence, alarms)


class DeviceGauges(Collector):
    """Memory of the CUDA devices in use; a CPU's is the process's, which `process_resident_memory_bytes` says."""

    def __init__(self, devices: Iterable[torch.device]) -> None:
        self._devices = sorted({str(device) for device in devices if device.type == "cuda"})

    def collect(self) -> Iterator[Metric]:
        memory = GaugeMetricFamily(
            "isthmus_device_memory_bytes",
            "Memory of a device: of tensors, set aside by the allocator, and all there is.",
            labels=("device", "kind"),
        )
        for device in self._devices:
            # Counters of the allocator, which answer even after the device has failed.
            memory.add_metric((device, "allocated"), torch.cuda.memory_allocated(device))
            memory.add_metric((device, "reserved"), torch.cuda.memory_reserved(device))
            memory.add_metric((device, "total"), torch.cuda.get_device_properties(device).total_memory)
        yield memory


class LimitGauges(Collector):
    """Settings that bound the load: what the figures beside them are to be held against."""

    def __init__(self, limits: Mapping[str, float]) -> None:
        self._limits = dict(limits)

    def collect(self) -> Iterator[Metric]:
        limits = GaugeMetricFamily("isthmus_limit", "Settings that bound the load.", labels=("setting",))
        for setting, value in self._limits.items():
            limits.add_metric((setting,), value)
        yield limits


class LogGauges(Collector):
    """Lines of the log that were dropped because it was written too slowly."""

    def __init__(self, n_dropped: Callable[[], int]) -> None:
        self._n_dropped = n_dropped

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "isthmus_log_dropped", "Lines of the log dropped because they came too fast.", value=self._n_dropped()
        )
