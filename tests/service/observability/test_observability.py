import io
import json
import threading
import time
import tracemalloc

import pytest
import torch
from prometheus_client.parser import text_string_to_metric_families

from detector.verdict import Decision
from service.observability import drift_monitor
from service.observability.logs import configure_logging
from service.observability.observability import Observability
from service.settings import ServeSettings


def make(bundle, **settings) -> Observability:
    return Observability(ServeSettings(**settings), {bundle.name: bundle})


def judge(
    observability, bundle, verdicts, *, request_id="r", key_id="k", source="request", digests=None, **more
) -> None:
    observability.judged(
        request_id=request_id,
        key_id=key_id,
        bundle=bundle,
        verdicts=verdicts,
        digests=digests or [f"{request_id}-{index}" for index in range(len(verdicts))],
        queue_seconds=0.001,
        compute_seconds=0.01,
        source=source,
        **more,
    )


def total(observability, name: str) -> float:
    text = observability.render()[0].decode()
    families = text_string_to_metric_families(text)
    return sum(sample.value for family in families for sample in family.samples if sample.name == name)


def test_the_audit_log_has_a_line_for_each_verdict_and_no_image(bundle, verdict):
    stream = io.StringIO()
    observability = make(bundle)
    logs = configure_logging(ServeSettings(log_level="error"), stream)
    judge(
        observability, bundle, [verdict(0.01), verdict(None, label=1)], digests=["a" * 64, "b" * 64], positions=[0, 2]
    )
    logs.close()
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    first.pop("time")
    assert first == {
        "level": "info",
        "logger": "service.audit",
        "event": "verdict",
        "request_id": "r",
        "key_id": "k",
        "source": "request",
        "bundle": "toy",
        "bundle_digest": "d" * 64,
        "index": 0,
        "image": "a" * 16,
        "decision": "adversarial",
        "p_value": 0.01,
        "false_positive_rate": 0.05,
        "label": 0,
        "label_name": "cat",
        "suspected_label": None,
    }
    assert (second["index"], second["decision"], second["p_value"]) == (2, "undecided", None)


def test_feedback_finds_a_verdict_at_its_place_in_the_request(bundle, verdict):
    observability = make(bundle)
    judge(observability, bundle, [verdict(0.01), verdict(0.5)], positions=[1, 3])
    assert observability.memory.recall("r", 0, "k") is None
    assert observability.memory.recall("r", 3, "k").verdict.decision is Decision.CLEAN


def test_images_are_kept_only_if_the_settings_say_so_and_alone(bundle, verdict):
    images = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    for log_images in (False, True):
        observability = make(bundle, log_images=log_images)
        judge(observability, bundle, [verdict(), verdict()], images=images)
        image = observability.memory.recall("r", 1, "k").image
        assert (image is not None) == log_images
    assert image.untyped_storage().nbytes() == 48


@pytest.mark.parametrize(("source", "counts"), [("request", True), ("event", True), ("audit", False)])
def test_only_live_traffic_counts_towards_drift_and_is_remembered(bundle, verdict, source: str, counts: bool):
    observability = make(bundle)
    judge(observability, bundle, [verdict(0.001)] * 40, source=source)
    assert observability.stats()["drift"]["toy"]["is_alarmed"] == counts
    assert total(observability, "isthmus_p_value_count") == (40 if counts else 0)
    assert len(observability.memory) == (40 if counts else 0)
    assert total(observability, "isthmus_verdicts_total") == 40


def test_the_alarm_is_a_metric(bundle, verdict):
    observability = make(bundle)
    judge(observability, bundle, [verdict(0.001)] * 40)
    assert total(observability, "isthmus_drift_alarm") == 1
    assert total(observability, "isthmus_drift_alarms_total") == 1
    assert total(observability, "isthmus_drift_evidence") >= 6


def test_undecided_images_are_counted_but_no_drift(bundle, verdict):
    observability = make(bundle)
    judge(observability, bundle, [verdict(None)] * 3)
    stats = observability.stats()
    assert (stats["verdicts"]["undecided"], stats["drift"]["toy"]["n_images"]) == (3, 0)


def test_latency_is_that_of_requests_for_verdicts(bundle):
    observability = make(bundle)
    for route in ("/v1/detect", "/v2/models/{model}/infer"):
        observability.request_done(route=route, code=200, seconds=1.0)
    observability.request_done(route="/v2/health/live", code=200, seconds=0.001)
    assert observability.stats()["latency_seconds"]["p50"] > 0.9
    assert total(observability, "isthmus_request_seconds_count") == 2
    assert total(observability, "isthmus_requests_total") == 3


def test_metrics_can_have_a_port_of_their_own(bundle):
    observability = make(bundle)
    assert observability.serve_metrics("127.0.0.1", 0) > 0
    observability.close()
    observability.close()


def test_one_image_costs_less_than_counting_to_six_thousand(bundle, verdict):
    """About a fifth of a millisecond, but on a machine of any speed."""
    observability, one = make(bundle), [verdict(0.5)]
    logs = configure_logging(ServeSettings(), io.StringIO())
    seconds, counting = [], []
    for number in range(500):
        started = time.thread_time()
        judge(observability, bundle, one, request_id=f"r{number}")
        judged = time.thread_time()
        assert sum(1 for _ in range(6000)) == 6000
        counting.append(time.thread_time() - judged)
        seconds.append(judged - started)
    logs.close()
    assert sorted(seconds)[250] < sorted(counting)[250]


def test_memory_stays_flat(bundle, verdict, monkeypatch):
    monkeypatch.setattr(drift_monitor, "REMEMBERED_IMAGES", 500)
    observability, one = make(bundle, remembered_verdicts=500), [verdict(0.3)]

    def run(start: int, n_requests: int) -> int:
        for number in range(start, start + n_requests):
            judge(observability, bundle, one, request_id=f"request-{number}")
            observability.request_done(route=f"/scanned/{number}", code=200 + number % 300, seconds=number % 7)
            observability.rejected(f"reason-{number}")
        # Threads that other tests left behind allocate, too.
        ours = [tracemalloc.Filter(True, "*/service/*"), tracemalloc.Filter(True, "*/prometheus_client/*")]
        return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces(ours).traces)

    tracemalloc.start()
    try:
        # Fills everything that has bounds; codes of routes beyond the last are the most.
        run(0, 1000)
        before = run(1000, 1000)
        after = run(2000, 4000)
    finally:
        tracemalloc.stop()
    assert after - before < 40_000


def test_threads_lose_nothing(bundle, verdict):
    observability = make(bundle)

    def work(which: int) -> None:
        for number in range(200):
            judge(observability, bundle, [verdict(0.5)], request_id=f"{which}-{number}")
            observability.render()[0] if number % 50 == 0 else observability.stats()

    threads = [threading.Thread(target=work, args=(which,)) for which in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total(observability, "isthmus_verdicts_total") == 1200
    assert observability.stats()["drift"]["toy"]["n_images"] == 1200
    assert len(observability.memory) == 1200
