import sys

import pytest

from service.errors import InputError
from service.observability.tracing import OpenTelemetryTracing, SilentTracing, open_tracing, record_stages

sdk = pytest.importorskip("opentelemetry.sdk.trace.export", reason="the extra tracing is not installed")
memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")

FIELDS = {"request_id": "r", "method": "POST", "route": "/v1/detect", "code": 200}


def traced(headers=(), fields=FIELDS, stages=True) -> dict:
    exporter = memory.InMemorySpanExporter()
    tracing = OpenTelemetryTracing(sdk.SimpleSpanProcessor(exporter))
    with tracing.request(headers) as trace:
        if stages:
            record_stages({"decode": 0.5, "queue": 0.25, "compute": 1.0})
        trace.finish(fields)
    spans = {span.name: span for span in exporter.get_finished_spans()}
    tracing.close()
    return spans


def test_a_request_has_a_child_for_each_stage_one_after_the_other():
    spans = traced()
    assert set(spans) == {"POST /v1/detect", "decode", "queue", "compute"}
    request = spans["POST /v1/detect"]
    assert request.attributes["http.response.status_code"] == 200
    assert request.attributes["isthmus.request_id"] == "r"
    for name in ("decode", "queue", "compute"):
        assert spans[name].parent.span_id == request.context.span_id
    assert (spans["queue"].end_time - spans["queue"].start_time) / 1e9 == pytest.approx(0.25, abs=1e-4)
    assert spans["decode"].end_time == pytest.approx(spans["queue"].start_time, abs=1e4)
    assert spans["queue"].end_time == pytest.approx(spans["compute"].start_time, abs=1e4)


def test_the_callers_span_is_the_parent():
    header = (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    request = traced([header])["POST /v1/detect"]
    assert f"{request.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert f"{request.parent.span_id:016x}" == "b7ad6b7169203331"


@pytest.mark.parametrize("value", [b"", b"\xff\xfe", b"00-zz-zz-zz", b"0" * 10_000])
def test_a_garbled_parent_is_ignored(value: bytes):
    assert traced([(b"traceparent", value)])["POST /v1/detect"].parent is None


def test_a_failed_request_is_marked():
    request = traced(fields=FIELDS | {"code": 503}, stages=False)["POST /v1/detect"]
    assert request.status.status_code.name == "ERROR"


def test_stages_outside_of_a_traced_request_are_nothing():
    record_stages({"queue": 1.0})
    assert set(traced(stages=False)) == {"POST /v1/detect"}


def test_without_a_collector_nothing_is_traced():
    tracing = open_tracing(None)
    assert isinstance(tracing, SilentTracing)
    with tracing.request([]) as trace:
        trace.finish(FIELDS)
    tracing.close()


def test_missing_packages_are_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(InputError, match=r"isthmus\[tracing\]"):
        open_tracing("http://localhost:4318")


@pytest.mark.parametrize("endpoint", ["localhost:4318", "ftp://host", "http://"])
def test_an_endpoint_that_is_no_address_is_refused(endpoint: str):
    with pytest.raises(InputError, match="address"):
        open_tracing(endpoint)


def test_the_collector_gets_the_usual_path_unless_it_has_one(monkeypatch):
    seen = []
    module = pytest.importorskip("opentelemetry.exporter.otlp.proto.http.trace_exporter")

    class Exporter(memory.InMemorySpanExporter):
        def __init__(self, endpoint: str, timeout: float) -> None:  # noqa: ARG002
            super().__init__()
            seen.append(endpoint)

    monkeypatch.setattr(module, "OTLPSpanExporter", Exporter)
    for endpoint in ("http://c:4318", "http://c:4318/", "https://c/own/path"):
        open_tracing(endpoint).close()
    assert seen == ["http://c:4318/v1/traces", "http://c:4318/v1/traces", "https://c/own/path"]
