"""What Prometheus reads of a long audit."""

import collections
import contextlib
import logging
from collections.abc import Iterator, Mapping

import pyarrow.compute as pc
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from detector.verdict import Decision
from service.observability.metrics_server import MetricsServer
from service.offline.progress.meter import ProgressMeter
from service.offline.work import JudgedShard

logger = logging.getLogger(__name__)


class AuditMetrics(Collector):
    """Counts what this run has written, and reads the meter when it is asked.

    Args:
        info: says what is audited with what; a label each.
    """

    def __init__(self, meter: ProgressMeter, info: Mapping[str, str]) -> None:
        self._meter = meter
        self._info = dict(info)
        self._decisions = collections.Counter[str]()
        self._n_errors = 0
        self._n_shards = 0

    def shard(self, shard: JudgedShard) -> None:
        """Count a shard that was written."""
        was_read = pc.is_valid(shard.results["outcome"])
        counted = pc.value_counts(shard.results["decision"].filter(was_read)).to_pylist()
        self._decisions.update({count["values"]: count["counts"] for count in counted})
        self._n_errors += shard.results["outcome"].null_count
        self._n_shards += 1

    def collect(self) -> Iterator[Metric]:
        """What the registry asks for."""
        yield InfoMetricFamily("isthmus_audit", "What is audited, and with what.", self._info)
        images = CounterMetricFamily(
            "isthmus_audit_images", "Images of shards that this run has written, by decision.", labels=["decision"]
        )
        for decision in Decision:
            images.add_metric([decision.value], self._decisions[decision.value])
        yield images
        yield CounterMetricFamily("isthmus_audit_errors", "Images that could not be read.", value=self._n_errors)
        yield CounterMetricFamily("isthmus_audit_shards", "Shards that this run has written.", value=self._n_shards)
        reading = self._meter.reading()
        for name, text, value in (
            ("isthmus_audit_images_listed", "Images of the source that are known of.", reading.n_listed),
            ("isthmus_audit_listed", "1 once those are all.", reading.is_listed),
            ("isthmus_audit_images_done", "Images that are judged, over all runs.", reading.n_done),
            ("isthmus_audit_images_flagged", "Flagged ones among those.", reading.n_flagged),
            ("isthmus_audit_images_per_second", "Speed over the last minute.", reading.images_per_second),
            ("isthmus_audit_seconds_left", "At this speed, once all are listed.", reading.seconds_left),
        ):
            if value is not None:
                yield GaugeMetricFamily(name, text, value=float(value))


@contextlib.contextmanager
def served_metrics(metrics: AuditMetrics, host: str, port: int | None) -> Iterator[None]:
    """Serve GET /metrics as long as the block runs, where a port is given.

    Raises:
        InputError: it cannot listen there.
    """
    if port is None:
        yield
        return
    registry = CollectorRegistry()
    registry.register(metrics)
    server = MetricsServer(host, port, lambda: (generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4))
    logger.info("metrics are served on %s, port %d", host, server.port)
    try:
        yield
    finally:
        server.close()
