"""Is the server there, and should requests come to it? For probes, without a key."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from service.runtime import Runtime

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """Both answers, whichever was asked for."""

    model_config = ConfigDict(json_schema_extra={"example": {"live": True, "ready": True}})

    live: bool
    ready: bool


@router.head("/v2/health/live", include_in_schema=False)
@router.get(
    "/v2/health/live",
    operation_id="live",
    response_model=Health,
    responses={503: {"model": Health, "description": "The device failed for good: start the server anew."}},
)
async def live(request: Request) -> JSONResponse:
    """Whether the server works; true under any load, and while it starts or drains."""
    health = health_of(request.app.state.runtime)
    return JSONResponse(health.model_dump(), status_code=200 if health.live else 503)


@router.head("/v2/health/ready", include_in_schema=False)
@router.get(
    "/v2/health/ready",
    operation_id="ready",
    response_model=Health,
    responses={503: {"model": Health, "description": "Not warmed up yet, or draining."}},
)
async def ready(request: Request) -> JSONResponse:
    """Whether requests should come: warmed up, and not told to stop."""
    health = health_of(request.app.state.runtime)
    return JSONResponse(health.model_dump(), status_code=200 if health.ready else 503)


def health_of(runtime: Runtime) -> Health:
    """What the probes say."""
    is_live = runtime.engine.is_live
    return Health(live=is_live, ready=is_live and runtime.is_ready)
