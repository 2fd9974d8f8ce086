"""How many requests are read or answered at once; one more is refused before a byte of its body is read."""

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import OverloadedError
from service.rest.guards.paths import HEALTH_PATHS, METRICS_PATH

ALWAYS_LET_IN = HEALTH_PATHS | {METRICS_PATH}
"""What says how loaded the server is must not wait for it to be idle."""


class RequestsAtOnce:
    """Counts the requests further in."""

    def __init__(self, app: ASGIApp, limit: int, rejected: Callable[[str], None]) -> None:
        self._app = app
        self._limit = limit
        self._rejected = rejected
        self._n_inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in ALWAYS_LET_IN:
            await self._app(scope, receive, send)
            return
        if self._n_inside >= self._limit:
            self._rejected("requests")
            raise OverloadedError(f"{self._limit} requests are under way; come again later", retry_after=1.0)
        self._n_inside += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._n_inside -= 1
