"""Pages of other origins: none may call, unless it is named.

A browser sends what it remembers of a user (the Basic password) along with requests that another site's page makes. It
also says so, in Sec-Fetch-Site and Origin, which a page cannot forge. Clients that are no browsers send neither.
"""

import re
from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.rest.failures import Failure, respond
from service.rest.guards.headers import single, values_of

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
EXPOSED = "X-Request-ID, Retry-After, Location, Inference-Header-Content-Length"
REFUSAL = Failure(status=403, message="pages of other origins may not call here; name them in --cors-origin")


class CrossSite:
    """Refuses what pages of other origins ask; answers to named origins in the way of CORS, without credentials.

    Stands outside of what answers failures: a page that may call may read them, too.
    """

    def __init__(self, app: ASGIApp, origins: frozenset[str], rejected: Callable[[str], None]) -> None:
        self._app = app
        self._origins = origins
        self._rejected = rejected

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        origin = _decoded(single(scope, b"origin"))
        if origin is not None and origin.lower() in self._origins:
            await self._answer(origin, scope, receive, send)
            return
        if is_foreign(scope):
            self._rejected("cross_site")
            await respond(REFUSAL)(scope, receive, send)
            return
        await self._app(scope, receive, self._varied(send) if self._origins else send)

    async def _answer(self, origin: str, scope: Scope, receive: Receive, send: Send) -> None:
        async def allowed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Access-Control-Allow-Origin"] = origin
                headers["Access-Control-Expose-Headers"] = EXPOSED
                headers.add_vary_header("Origin")
            await send(message)

        if scope["method"] == "OPTIONS" and values_of(scope, b"access-control-request-method"):
            await _preflight(scope)(scope, receive, allowed)
        else:
            await self._app(scope, receive, allowed)

    def _varied(self, send: Send) -> Send:
        """A cache must not give one origin what was said to another."""

        async def varied(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).add_vary_header("Origin")
            await send(message)

        return varied


def is_foreign(scope: Scope) -> bool:
    """Whether a page of another origin asks. Following a link to here is not asking."""
    sites = values_of(scope, b"sec-fetch-site")
    if sites == [b"same-origin"]:
        # The browser knows better than the two headers below, which a proxy may have changed.
        return False
    if any(site not in {b"same-origin", b"none"} for site in sites) and not _is_navigation(scope):
        return True
    if scope["method"] in SAFE_METHODS:
        return False
    origins = values_of(scope, b"origin")
    return any(not _is_own(origin, scope) for origin in origins)


def _is_navigation(scope: Scope) -> bool:
    return (
        scope["method"] in {"GET", "HEAD"}
        and single(scope, b"sec-fetch-mode") == b"navigate"
        and single(scope, b"sec-fetch-dest") == b"document"
    )


def _is_own(origin: bytes, scope: Scope) -> bool:
    # Not the scheme: a proxy in front may have taken TLS off.
    scheme, separator, host = origin.lower().partition(b"://")
    own = single(scope, b"host")
    return bool(separator) and scheme in {b"http", b"https"} and own is not None and host == own.lower()


def _preflight(scope: Scope) -> Response:
    asked = _decoded(single(scope, b"access-control-request-headers")) or ""
    names = [name.strip() for name in asked.split(",")]
    plain = [name for name in names if re.fullmatch(r"[A-Za-z0-9-]{1,64}", name)]
    return Response(
        status_code=204,
        headers={
            "Access-Control-Allow-Methods": "GET, HEAD, POST, DELETE",
            "Access-Control-Allow-Headers": ", ".join(plain[:32]),
            "Access-Control-Max-Age": "600",
        },
    )


def _decoded(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
