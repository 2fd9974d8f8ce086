"""The application: every route, behind everything that guards them."""

import asyncio
import contextlib
import importlib.metadata
from collections.abc import AsyncIterator

from fastapi import FastAPI

from service.rest import health, metrics, page, stats
from service.rest.audits import routes as audits
from service.rest.docs import routes as docs
from service.rest.events import routes as events
from service.rest.failures import HANDLERS
from service.rest.feedback import routes as feedback
from service.rest.guards.stack import stack
from service.rest.native import routes as native
from service.rest.oip import routes as oip
from service.runtime import Runtime

PARTS = (health, native, oip, audits, feedback, events, metrics, stats, docs, page)

LAST_SECONDS = 5.0
"""For what the engine still has in hand once every request was answered."""


def create_app(runtime: Runtime) -> FastAPI:
    """The application of a server. Routes find what they need at `request.app.state.runtime`.

    Raises:
        InputError: a setting about who may call is not what it should be.
    """
    app = FastAPI(
        title="Isthmus",
        summary="Tells whether an image that reaches a classifier is adversarial.",
        version=importlib.metadata.version("isthmus"),
        lifespan=_lifespan,
        middleware=stack(runtime.settings, runtime.observability, runtime.draining),
        exception_handlers=dict(HANDLERS),
        # The framework's own pages load what they are made of from elsewhere.
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        # Where to is made from the Host header, which is the client's.
        redirect_slashes=False,
    )
    app.state.runtime = runtime
    for part in PARTS:
        app.include_router(part.router)
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Work while the application is served: the engine warms up behind it."""
    runtime: Runtime = app.state.runtime
    runtime.observability.watch(runtime)
    await asyncio.to_thread(runtime.audits.start)
    runtime.engine.start()
    try:
        yield
    finally:
        runtime.draining.set()
        await asyncio.to_thread(_stop, runtime)


def _stop(runtime: Runtime) -> None:
    """Audits first, which go on another time, then whatever was accepted, then the rest."""
    runtime.audits.close()
    runtime.engine.drain(min(LAST_SECONDS, runtime.settings.shutdown_seconds))
    runtime.engine.close()
    runtime.decoders.shutdown(wait=False, cancel_futures=True)
    runtime.observability.close()
