"""A sink for CloudEvents, such as KServe's payload logger sends: what others served is judged, in the background."""

import asyncio
import contextlib
import re
import uuid
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response

from service.observability import context
from service.rest.events.cloud_events import STRUCTURED, CloudEvent, read_event
from service.rest.events.images import images_of, limits_of
from service.rest.events.sink import EventSink, QueuedEvent
from service.rest.owners import key_id_of
from service.rest.schemas import EXAMPLE_IMAGE, error_responses
from service.runtime import Runtime, ServedBundle

INFERENCE_REQUEST = "org.kubeflow.serving.inference.request"
SERVICE_NAME = "inferenceservicename"

PLAIN_WORD = re.compile(r"[A-Za-z0-9._-]{1,64}")
CLOSING_SECONDS = 5.0

EXAMPLE = {
    "specversion": "1.0",
    "type": INFERENCE_REQUEST,
    "source": "http://localhost:9081/",
    "id": "6f1c8f3e",
    "data": {"inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [EXAMPLE_IMAGE]}]},
}
BODY: dict[str, Any] = {
    "required": True,
    "content": {
        STRUCTURED: {
            "schema": {"type": "object", "required": ["specversion", "type", "source", "id"]},
            "example": EXAMPLE,
        },
        "application/json": {"schema": {"type": "object"}, "example": EXAMPLE["data"]},
    },
}


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Work events off while the application is served."""
    runtime: Runtime = app.state.runtime
    sink = EventSink(runtime)
    sink.start()
    app.state.events = sink
    try:
        yield
    finally:
        await asyncio.to_thread(sink.close, min(CLOSING_SECONDS, runtime.settings.shutdown_seconds))


router = APIRouter(tags=["events"], lifespan=lifespan)


@router.post(
    "/v1/events",
    operation_id="receiveEvent",
    summary="Take a CloudEvent",
    status_code=202,
    response_class=Response,
    responses=error_responses(400, 401, 404, 408, 413, 415, 429),
    openapi_extra={"requestBody": BODY},
)
async def receive_event(request: Request, bundle: str | None = None) -> Response:
    """Queue the images of a logged inference request; verdicts go to the log and the metrics.

    Events of other types are taken and passed over. Without `bundle`, it is the one with the name of the inference
    service, or the default.
    """
    runtime: Runtime = request.app.state.runtime
    body = await request.body()
    headers = dict(request.headers)
    served = None if bundle is None else runtime.bundle(bundle)
    queued = await asyncio.wrap_future(
        runtime.decoders.submit(_queued, runtime, headers, body, served, key_id_of(request), _own_id())
    )
    if queued is None:
        runtime.observability.event("ignored")
    else:
        request.app.state.events.offer(queued)
    return Response(status_code=202)


def _queued(
    runtime: Runtime, headers: dict[str, str], body: bytes, served: ServedBundle | None, key_id: str, own_id: str
) -> QueuedEvent | None:
    """What is to be judged of an event; None where it is of another type."""
    event = read_event(
        headers,
        body,
        wanted=INFERENCE_REQUEST,
        max_depth=runtime.settings.json_depth,
        most_marks=max(limits_of(known, runtime.settings.files).n_marks for known in runtime.bundles.values()),
    )
    if event.type != INFERENCE_REQUEST:
        return None
    bundle = served or _bundle_of(runtime, event)
    images = images_of(event.data, bundle, runtime.settings.files)
    return QueuedEvent(
        bundle=bundle,
        # The id of the inference, so that verdicts are found by it.
        request_id=event.id if PLAIN_WORD.fullmatch(event.id) else own_id,
        key_id=key_id,
        images=images,
        n_bytes=len(body),
    )


def _bundle_of(runtime: Runtime, event: CloudEvent) -> ServedBundle:
    name = event.attributes.get(SERVICE_NAME)
    return runtime.bundle(name if name in runtime.bundles else None)


def _own_id() -> str:
    return context.request_id.get() or uuid.uuid4().hex
