"""Traces for OpenTelemetry, where a collector is named; otherwise nothing.

A request is one span, with a child for each stage: `decode`, `queue` and `compute`. The stages are told when they are
over, by whoever measured them, so that nothing in between has to know about spans.
"""

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from service.errors import InputError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

EXPORT_SECONDS = 5

CONVENTIONS = {
    "method": "http.request.method",
    "route": "http.route",
    "code": "http.response.status_code",
    "client": "client.address",
}
"""OpenTelemetry's own names for what a request's line in the log says."""

PROPAGATED = frozenset({b"traceparent", b"tracestate"})

Stage = tuple[str, float, float]
"""Name, begin and end, in seconds since 1970."""

_stages: ContextVar[list[Stage] | None] = ContextVar("stages", default=None)


class Trace(Protocol):
    """One request."""

    def finish(self, fields: Mapping[str, Any]) -> None:
        """The request is answered; `fields` are those of its line in the log, strings and numbers."""


class Tracing(Protocol):
    """Makes traces."""

    def request(self, headers: Iterable[tuple[bytes, bytes]]) -> contextlib.AbstractContextManager[Trace]:
        """A request of those headers is being answered."""

    def close(self) -> None:
        """Send what waits."""


class SilentTrace:
    def finish(self, fields: Mapping[str, Any]) -> None: ...


class SilentTracing:
    """Traces nothing."""

    def request(self, headers: Iterable[tuple[bytes, bytes]]) -> contextlib.AbstractContextManager[Trace]:  # noqa: ARG002
        return contextlib.nullcontext(SilentTrace())

    def close(self) -> None: ...


def record_stages(seconds: Mapping[str, float]) -> None:
    """Tell the request's trace of stages that followed each other and ended now.

    Args:
        seconds: by name of the stage, in their order.
    """
    stages = _stages.get()
    if stages is None:
        return
    end = time.time()
    for name, duration in reversed(list(seconds.items())):
        stages.append((name, end - duration, end))
        end -= duration


class OpenTelemetryTracing:
    """Sends spans to a processor.

    Args:
        processor: of the OpenTelemetry SDK; takes finished spans.
    """

    def __init__(self, processor: "SpanProcessor") -> None:
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        self._provider = TracerProvider(resource=Resource.create({"service.name": "isthmus"}), shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("isthmus")
        self._propagator = TraceContextTextMapPropagator()

    @contextlib.contextmanager
    def request(self, headers: Iterable[tuple[bytes, bytes]]) -> Iterator[Trace]:
        """See `Tracing`. A span of the caller's, named in `traceparent`, becomes the parent."""
        carrier = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
        parent = self._propagator.extract(
            {name: carrier[name] for name in ("traceparent", "tracestate") & carrier.keys()}
        )
        stages: list[Stage] = []
        token = _stages.set(stages)
        try:
            yield _OpenTelemetryTrace(self._tracer, parent, stages)
        finally:
            _stages.reset(token)

    def close(self) -> None:
        """See `Tracing`."""
        self._provider.shutdown()


class _OpenTelemetryTrace:
    def __init__(self, tracer: Any, parent: Any, stages: list[Stage]) -> None:
        self._tracer = tracer
        self._parent = parent
        self._stages = stages
        self._started = time.time_ns()

    def finish(self, fields: Mapping[str, Any]) -> None:
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context  # noqa: PLC0415

        span = self._tracer.start_span(
            f"{fields['method']} {fields['route']}",
            context=self._parent,
            kind=SpanKind.SERVER,
            attributes={CONVENTIONS.get(name, f"isthmus.{name}"): value for name, value in fields.items()},
            start_time=self._started,
        )
        if fields["code"] >= 500:
            span.set_status(Status(StatusCode.ERROR))
        inside = set_span_in_context(span)
        for name, begin, end in self._stages:
            stage = self._tracer.start_span(name, context=inside, start_time=int(begin * 1e9))
            stage.end(int(end * 1e9))
        span.end()


def open_tracing(endpoint: str | None) -> Tracing:
    """Traces to the collector at an endpoint, `http://host:4318` or the whole address; none without one.

    Raises:
        InputError: the endpoint is no address, or the packages of the extra `tracing` are not installed.
    """
    if endpoint is None:
        return SilentTracing()
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise InputError(f"the collector must be an address such as http://localhost:4318, not {endpoint!r}")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        raise InputError("traces need more packages; install isthmus[tracing], or name no collector") from error
    address = endpoint if parts.path.strip("/") else endpoint.rstrip("/") + "/v1/traces"
    return OpenTelemetryTracing(BatchSpanProcessor(OTLPSpanExporter(endpoint=address, timeout=EXPORT_SECONDS)))
