import shutil
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.observability.metrics import MOST_REASONS, MOST_ROUTES, BoundedLabels
from service.observability.observability import FAILURES, STAGES, Observability
from service.settings import ServeSettings

NAMED = {
    "isthmus_requests": {"route", "code"},
    "isthmus_request_seconds": set(),
    "isthmus_queue_seconds": set(),
    "isthmus_compute_seconds": set(),
    "isthmus_batch_images": set(),
    "isthmus_queue_images": set(),
    "isthmus_rejected": {"reason"},
    "isthmus_cancelled": {"stage"},
    "isthmus_verdicts": {"decision", "label"},
    "isthmus_decisions": {"decision"},
    "isthmus_flags_expected": set(),
    "isthmus_limit": {"setting"},
    "isthmus_p_value": set(),
    "isthmus_drift_alarm": {"bundle"},
    "isthmus_drift_evidence": {"bundle"},
    "isthmus_drift_alarms": {"bundle"},
    "isthmus_engine_failures": {"reason"},
    "isthmus_bundle_info": {"bundle", "digest"},
    "isthmus_log_dropped": set(),
}


class Load:
    n_queued = 3
    n_computing = 8


class Engine:
    is_ready = True
    is_live = True

    def load(self) -> Load:
        return Load()


@pytest.fixture
def busy(bundle, verdict) -> Observability:
    """Has been told of everything once."""
    observability = Observability(ServeSettings(), {"toy": bundle})
    observability.watch(Engine())
    observability.request_done(route="/v1/detect", code=200, seconds=0.02)
    observability.rejected("queue")
    observability.judged(
        request_id="r",
        key_id="k",
        bundle=bundle,
        verdicts=[verdict(0.02), verdict(0.7, label=1), verdict(None)],
        digests=["a" * 64, "b" * 64, "c" * 64],
        queue_seconds=0.001,
        compute_seconds=0.03,
        source="request",
    )
    observability.stepped("toy", 3, 0.03)
    observability.cancelled("queue", 2)
    observability.expired(4)
    observability.failed("out_of_memory")
    return observability


def families(observability: Observability) -> dict:
    text = observability.render()[0].decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(observability: Observability, sample_name: str, **labels: str) -> float:
    samples = [sample for family in families(observability).values() for sample in family.samples]
    return next(sample.value for sample in samples if (sample.name, sample.labels) == (sample_name, labels))


def test_every_metric_has_its_name_and_labels(busy):
    found = families(busy)
    for name, labels in NAMED.items():
        assert {label for sample in found[name].samples for label in sample.labels} - {"le"} == labels, name
    assert "isthmus_device_memory_bytes" in found


def test_the_numbers_are_those_that_were_told(busy):
    assert value(busy, "isthmus_requests_total", route="/v1/detect", code="200") == 1
    assert value(busy, "isthmus_verdicts_total", decision="adversarial", label="cat") == 1
    assert value(busy, "isthmus_verdicts_total", decision="clean", label="dog") == 1
    assert value(busy, "isthmus_verdicts_total", decision="undecided", label="cat") == 1
    assert value(busy, "isthmus_decisions_total", decision="adversarial") == 1
    # Two were decided, each at 5 %.
    assert value(busy, "isthmus_flags_expected_total") == pytest.approx(0.1)
    assert value(busy, "isthmus_limit", setting="request_seconds") == 10
    assert value(busy, "isthmus_p_value_count") == 2
    assert value(busy, "isthmus_p_value_bucket", le="0.02") == 1
    assert value(busy, "isthmus_queue_images") == 3
    assert value(busy, "isthmus_cancelled_total", stage="queue") == 2
    assert value(busy, "isthmus_expired_images_total") == 4
    assert value(busy, "isthmus_engine_failures_total", reason="out_of_memory") == 1
    assert value(busy, "isthmus_batch_images_sum") == 3
    assert value(busy, "isthmus_bundle_info", bundle="toy", digest="d" * 64) == 1
    assert value(busy, "isthmus_drift_alarm", bundle="toy") == 0
    assert value(busy, "isthmus_rejected_total", reason="queue") == 1


def test_what_may_fail_is_counted_from_0_on_so_that_the_first_failure_is_a_rise(bundle):
    fresh = Observability(ServeSettings(), {"toy": bundle})
    assert {value(fresh, "isthmus_engine_failures_total", reason=reason) for reason in FAILURES} == {0}
    assert value(fresh, "isthmus_events_total", outcome="failed") == 0
    assert value(fresh, "isthmus_decisions_total", decision="adversarial") == 0


def test_labels_are_bounded_whatever_is_told(busy):
    for number in range(1000):
        busy.request_done(route=f"/scan/{number}", code=404, seconds=0.001)
        busy.rejected(f"reason{number}")
        busy.cancelled(f"stage{number}", 1)
        busy.failed(f"failure{number}")
    found = families(busy)
    assert len(found["isthmus_requests"].samples) <= MOST_ROUTES + 1
    assert len(found["isthmus_rejected"].samples) <= MOST_REASONS + 1
    assert len(found["isthmus_cancelled"].samples) == len(STAGES) + 1
    assert len(found["isthmus_engine_failures"].samples) == len(FAILURES) + 1
    assert sum(sample.value for sample in found["isthmus_requests"].samples) == 1001


def test_a_value_that_was_seen_stays_itself():
    label = BoundedLabels(2)
    assert [label(value) for value in ("a", "b", "c", "a", "c")] == ["a", "b", "other", "a", "other"]


def test_two_servers_in_one_process_count_apart(bundle):
    first, second = (Observability(ServeSettings(), {"toy": bundle}) for _ in range(2))
    first.expired(1)
    assert (value(first, "isthmus_expired_images_total"), value(second, "isthmus_expired_images_total")) == (1, 0)


def test_promtool_finds_nothing_wrong(busy):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed; it comes with the package prometheus")
    check = subprocess.run([promtool, "check", "metrics"], input=busy.render()[0], capture_output=True, check=False)
    assert (check.returncode, check.stdout + check.stderr) == (0, b"")
