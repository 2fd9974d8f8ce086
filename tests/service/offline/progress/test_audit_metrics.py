import httpx
import pyarrow as pa
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.errors import InputError
from service.offline.folder.standing import Standing
from service.offline.progress.audit_metrics import AuditMetrics, served_metrics
from service.offline.progress.meter import ProgressMeter
from service.offline.work import JudgedShard, Tick

ROWS = {
    "decision": ["clean", "clean", "adversarial", "undecided", "undecided"],
    # The last one could not be read.
    "outcome": ["decided", "decided", "decided", "non_finite", None],
}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def metrics() -> AuditMetrics:
    clock = Clock()
    meter = ProgressMeter(lambda: Standing(n_items=100, is_complete=True), clock)
    clock.now = 2.0
    meter.tick(Tick(shard=0, n_images=20, n_flagged=1, n_errors=0))
    return AuditMetrics(meter, {"bundle": "digits"})


def announced_ports(monkeypatch) -> list[int]:
    ports = []

    def announce(text, host, port) -> None:
        ports.append(port)

    monkeypatch.setattr("service.offline.progress.audit_metrics.logger.info", announce)
    return ports


def samples(metrics: AuditMetrics, monkeypatch) -> dict[str, float]:
    ports = announced_ports(monkeypatch)
    with served_metrics(metrics, "127.0.0.1", 0):
        text = httpx.get(f"http://127.0.0.1:{ports[0]}/metrics", timeout=30).text
    return {
        sample.name + "".join(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_is_written_is_counted_by_decision(metrics, monkeypatch) -> None:
    for number in range(2):
        metrics.shard(JudgedShard(number=number, results=pa.table(ROWS), timings=None))
    found = samples(metrics, monkeypatch)
    assert found["isthmus_audit_images_totalclean"] == 4
    assert found["isthmus_audit_images_totaladversarial"] == 2
    assert found["isthmus_audit_images_totalundecided"] == 2
    assert found["isthmus_audit_errors_total"] == 2
    assert found["isthmus_audit_shards_total"] == 2


def test_how_far_and_how_fast_it_goes_is_read_from_the_meter(metrics, monkeypatch) -> None:
    found = samples(metrics, monkeypatch)
    assert found["isthmus_audit_infodigits"] == 1
    assert found["isthmus_audit_images_listed"] == 100
    assert found["isthmus_audit_listed"] == 1
    assert found["isthmus_audit_images_done"] == 20
    assert found["isthmus_audit_images_per_second"] == 10
    assert found["isthmus_audit_seconds_left"] == 8


def test_without_a_port_nothing_is_served(metrics, monkeypatch) -> None:
    monkeypatch.setattr("service.offline.progress.audit_metrics.MetricsServer", None)
    with served_metrics(metrics, "127.0.0.1", None):
        pass


def test_a_port_that_is_taken_is_said(metrics, monkeypatch) -> None:
    ports = announced_ports(monkeypatch)
    with (
        served_metrics(metrics, "127.0.0.1", 0),
        pytest.raises(InputError, match="cannot serve metrics"),
        served_metrics(metrics, "127.0.0.1", ports[0]),
    ):
        pass
