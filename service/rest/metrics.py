"""GET /metrics: what Prometheus scrapes."""

from fastapi import APIRouter, Request, Response

from service.errors import NotFoundError
from service.runtime import Runtime

router = APIRouter(tags=["observability"])


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="Metrics in Prometheus's text format",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, 404: {"description": "They are served on a port of their own."}},
)
def metrics(request: Request) -> Response:
    """Counters, histograms and gauges. Not `async`: what takes long to write must not hold up the event loop."""
    runtime: Runtime = request.app.state.runtime
    if runtime.settings.metrics_port is not None:
        raise NotFoundError("metrics are served on a port of their own, the setting metrics_port")
    body, content_type = runtime.observability.render()
    return Response(body, headers={"Content-Type": content_type, "Cache-Control": "no-store"})
