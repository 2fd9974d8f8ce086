"""The application behind the page: for this machine alone, and for no page but its own."""

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.rest.failures import HANDLERS, Failures
from service.rest.guards.cross_site import CrossSite
from service.rest.guards.hosts import LOOPBACK_NAMES, Hosts
from service.rest.guards.security_headers import SecurityHeaders
from service.rest.page import ASSETS, asset_router, read_assets
from service.viewing import routes
from service.viewing.state import View

SHARED = ("dom.js", "icon.svg", "page.css", "report.css", "scale.js", "words.js")
"""Files of the server's page that this one is made of, too."""

PAGE = read_assets("service.viewing") | {name: ASSETS[name] for name in SHARED}

REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""The report holds its scripts and styles, and needs nothing else; sandboxed, it is of no origin and reads nothing."""


def create_app(view: View) -> FastAPI:
    """The application that shows an audit."""
    app = FastAPI(
        title="Isthmus",
        lifespan=_lifespan,
        middleware=[
            Middleware(ReportPolicy),
            Middleware(SecurityHeaders),
            Middleware(CrossSite, origins=frozenset(), rejected=_unheard),
            Middleware(Failures),
            Middleware(Hosts, allowed=LOOPBACK_NAMES, rejected=_unheard),
        ],
        exception_handlers=dict(HANDLERS),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.view = view
    app.include_router(routes.router)
    app.include_router(asset_router(PAGE))
    return app


class ReportPolicy:
    """Lets the report run what it holds, which is all it can do; everything else keeps the policy it has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def allowed(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                MutableHeaders(scope=message)["Content-Security-Policy"] = REPORT_POLICY
            await send(message)

        is_report = scope["type"] == "http" and scope["path"] == routes.REPORT_PATH
        await self._app(scope, receive, allowed if is_report else send)


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    view: View = app.state.view
    view.start()
    yield


def _unheard(reason: str) -> None:
    """Nobody counts what is refused here."""
