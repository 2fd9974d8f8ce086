"""The outermost middleware but for the request id: every answer is counted, logged and traced once."""

import asyncio
import logging
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.observability import context
from service.observability.observability import Observability

UNMATCHED = "unmatched"

QUIET_ROUTES = frozenset({"/v2/health/live", "/v2/health/ready", "/metrics", "/v1/stats"})
"""Asked every few seconds by machines: their lines are for debugging alone, unless they fail."""

CLIENT_GONE = 499
LONGEST_METHOD = 16

logger = logging.getLogger(__name__)


class RequestLog:
    """Pure ASGI, so that a disconnect reaches the routes.

    Args:
        app: what answers.
        observability: is told of every answer.
    """

    def __init__(self, app: ASGIApp, observability: Observability) -> None:
        self._app = app
        self._observability = observability

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        started = time.perf_counter()
        with self._observability.tracing.request(scope["headers"]) as trace:
            try:
                await self._app(scope, receive, answer.send)
            except asyncio.CancelledError:
                answer.code = answer.code or CLIENT_GONE
                raise
            finally:
                seconds = time.perf_counter() - started
                route, code = route_template(scope), answer.code or 500
                self._observability.request_done(route=route, code=code, seconds=seconds)
                fields = _fields(scope, route, code)
                trace.finish(fields)
                is_quiet = route in QUIET_ROUTES and code < 400
                level = logging.DEBUG if is_quiet else logging.INFO
                logger.log(level, "request", extra=fields | {"seconds": round(seconds, 6), "bytes": answer.n_bytes})


class _Answer:
    """Passes an answer on and remembers its code and size."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.code: int | None = None
        self.n_bytes = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.code = message["status"]
        elif message["type"] == "http.response.body":
            self.n_bytes += len(message.get("body", b""))
        await self._send(message)


def route_template(scope: Scope) -> str:
    """The path of the route that answered, as it was declared, never what a client wrote; `unmatched` without one."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else UNMATCHED


def _fields(scope: Scope, route: str, code: int) -> dict[str, Any]:
    state = scope.get("state", {})
    client = scope.get("client")
    known = {
        "request_id": context.request_id.get() or state.get("request_id"),
        "key_id": state.get("key_id"),
        "client": client[0] if client else None,
    }
    given = {name: value for name, value in known.items() if value is not None}
    return given | {"method": str(scope["method"])[:LONGEST_METHOD], "route": route, "code": code}
