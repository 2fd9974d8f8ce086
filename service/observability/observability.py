"""What a server shows of itself: metrics, the audit log, live statistics, drift alarms and traces, told in one place.

Everything here is told from the path of requests: quick, safe from any thread, and of a size that does not grow.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from torch import Tensor

from detector.verdict import Decision, Outcome, Verdict
from service.observability import audit_log
from service.observability.drift_monitor import DriftMonitor
from service.observability.gauges import BundleGauges, DeviceGauges, EngineGauges, LimitGauges, Loaded, LogGauges
from service.observability.live import LiveStatistics
from service.observability.logs import dropped_lines
from service.observability.memory import RememberedVerdict, VerdictMemory
from service.observability.metrics import OTHER, Metrics
from service.observability.metrics_server import MetricsServer
from service.observability.tracing import open_tracing, record_stages
from service.runtime import ServedBundle
from service.settings import ServeSettings

REQUEST = "request"

LIVE_SOURCES = frozenset({REQUEST, "event"})
"""What arrives as it happens. An audit's folder is somebody's choice: it says nothing about drift, and its verdicts are
kept elsewhere."""

JUDGING_ROUTES = ("/v1/detect", "/infer")
"""Ends of the templates of routes that answer with verdicts."""

STAGES = frozenset({"queue", "compute"})

OUTCOMES = frozenset({"judged", "ignored", "failed"})

FAILURES = frozenset({"out_of_memory", "device", "hung"})

LIMITS = ("request_seconds", "queue_images", "requests_at_once")
"""Settings that are shown beside the load."""


class Observability:
    """What is told here is counted, logged and remembered. An `EngineObserver`, too; one a server.

    Args:
        settings: of the server.
        bundles: by name.
        registry: of the metrics; by default one of its own.

    Raises:
        InputError: traces are asked for and cannot be made.
    """

    def __init__(
        self, settings: ServeSettings, bundles: Mapping[str, ServedBundle], registry: CollectorRegistry | None = None
    ) -> None:
        self.tracing = open_tracing(settings.otlp_endpoint)
        self.memory = VerdictMemory(settings.remembered_verdicts)
        self._keeps_images = settings.log_images
        self._live = LiveStatistics()
        self._drift = {
            name: DriftMonitor(name, bundle.detector.bundle.conformal.scores, settings.drift_false_alarms)
            for name, bundle in bundles.items()
        }
        self._metrics = Metrics(registry or CollectorRegistry())
        self._begin_at_zero()
        self._engine = EngineGauges()
        self._server: MetricsServer | None = None
        devices = {bundle.detector.classifier.device for bundle in bundles.values()}
        for collector in (
            self._engine,
            BundleGauges(bundles.values(), self._drift),
            DeviceGauges(devices),
            LimitGauges({name: getattr(settings, name) for name in LIMITS}),
            LogGauges(dropped_lines),
        ):
            self._metrics.registry.register(collector)
        ProcessCollector(registry=self._metrics.registry)

    def _begin_at_zero(self) -> None:
        """A counter that appears with its first event has never risen, for whoever asks how much it rose."""
        for decision in Decision:
            self._metrics.decisions.labels(decision.value)
        for outcome in OUTCOMES:
            self._metrics.events.labels(outcome)
        for stage in STAGES:
            self._metrics.cancelled.labels(stage)
        for reason in FAILURES:
            self._metrics.engine_failures.labels(reason)

    def request_done(self, *, route: str, code: int, seconds: float) -> None:
        """A request was answered; `route` is the template of its path, `unmatched` where it has none."""
        self._metrics.requests.labels(self._metrics.route_label(route), str(code)).inc()
        if route.endswith(JUDGING_ROUTES):
            self._metrics.request_seconds.observe(seconds)
            self._live.answered(seconds)

    def rejected(self, reason: str) -> None:
        """A request was refused, for a reason out of a small set."""
        self._metrics.rejected.labels(self._metrics.reason_label(reason)).inc()
        self._live.rejected()

    def event(self, outcome: str) -> None:
        """A CloudEvent was `judged`, `ignored` for its type, or `failed` after it was taken."""
        self._metrics.events.labels(outcome if outcome in OUTCOMES else OTHER).inc()

    def judged(
        self,
        *,
        request_id: str,
        key_id: str,
        bundle: ServedBundle,
        verdicts: Sequence[Verdict],
        digests: Sequence[str],
        queue_seconds: float,
        compute_seconds: float,
        source: str,
        decode_seconds: float = 0.0,
        positions: Sequence[int] | None = None,
        images: Tensor | None = None,
    ) -> None:
        """Images of a request were judged.

        Args:
            digests: of the pixels of each image, at least 16 hexadecimal digits.
            source: `request`, `event` or `audit`.
            positions: of each image among the request's, where some could not be decoded; by default all were there.
            images: shape (image, channel, height, width); kept for feedback if the settings say so.
        """
        places = range(len(verdicts)) if positions is None else positions
        judged = list(zip(places, verdicts, digests, strict=True))
        self._count(bundle, verdicts)
        audit_log.write_verdicts(judged, bundle, request_id=request_id, key_id=key_id, source=source)
        if source in LIVE_SOURCES:
            self._watch_drift(bundle, zip(verdicts, digests, strict=True))
            kept = images if self._keeps_images else None
            for index, (place, verdict, digest) in enumerate(judged):
                # A copy: a view would hold the images of all the batch.
                image = None if kept is None else kept[index].cpu().clone()
                remembered = RememberedVerdict(
                    verdict=verdict, bundle=bundle, digest=digest, key_id=key_id, image=image
                )
                self.memory.remember(request_id, place, remembered)
        if source == REQUEST:
            self._metrics.queue_seconds.observe(queue_seconds)
            self._metrics.compute_seconds.observe(compute_seconds)
            record_stages({"decode": decode_seconds, "queue": queue_seconds, "compute": compute_seconds})

    def _count(self, bundle: ServedBundle, verdicts: Sequence[Verdict]) -> None:
        for verdict in verdicts:
            self._metrics.verdicts.labels(verdict.decision.value, bundle.labels[verdict.label]).inc()
            self._metrics.decisions.labels(verdict.decision.value).inc()
            if verdict.decision is not Decision.UNDECIDED:
                self._metrics.flags_expected.inc(verdict.false_positive_rate)
            if verdict.outcome is Outcome.LEFT_EARLY:
                self._metrics.left_early.inc()
            self._live.judged(verdict.decision)

    def _watch_drift(self, bundle: ServedBundle, pairs: Iterable[tuple[Verdict, str]]) -> None:
        decided = [
            (digest, verdict.p_value)
            for verdict, digest in pairs
            if verdict.decision is not Decision.UNDECIDED and verdict.p_value is not None
        ]
        for _, p_value in decided:
            self._metrics.p_value.observe(p_value)
        self._drift[bundle.name].update(decided)

    def stepped(self, bundle: str, n_images: int, seconds: float) -> None:  # noqa: ARG002
        """See `EngineObserver`."""
        self._metrics.batch_images.observe(n_images)
        self._metrics.step_seconds.observe(seconds)

    def cancelled(self, stage: str, n_images: int) -> None:
        """See `EngineObserver`."""
        self._metrics.cancelled.labels(stage if stage in STAGES else OTHER).inc(n_images)

    def expired(self, n_images: int) -> None:
        """See `EngineObserver`."""
        self._metrics.expired.inc(n_images)

    def failed(self, reason: str) -> None:
        """See `EngineObserver`."""
        self._metrics.engine_failures.labels(reason if reason in FAILURES else OTHER).inc()

    def watch(self, engine: Loaded) -> None:
        """From now on show how busy the engine is."""
        self._engine.engine = engine

    def stats(self) -> dict[str, Any]:
        """The last minute; see `LiveStatistics.summary` and `DriftMonitor.summary`."""
        drift = {name: monitor.summary() for name, monitor in self._drift.items()}
        return self._live.summary() | {"queue": self._engine.summary(), "drift": drift}

    def render(self) -> tuple[bytes, str]:
        """All metrics in Prometheus's text format, and its content type."""
        return generate_latest(self._metrics.registry), CONTENT_TYPE_PLAIN_0_0_4

    def serve_metrics(self, host: str, port: int) -> int:
        """Serve the metrics on a port of their own until `close`.

        Returns:
            The port; a free one where 0 was asked.

        Raises:
            InputError: it cannot listen there.
        """
        self._server = MetricsServer(host, port, self.render)
        return self._server.port

    def close(self) -> None:
        """Stop serving metrics, and send the traces that wait."""
        if self._server:
            self._server.close()
            self._server = None
        self.tracing.close()
