"""Every request has an id: the client's where it is a plain word, else one of ours. Answers and log lines carry it."""

import re
import secrets

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.observability.context import request_id
from service.rest.guards.headers import values_of

HEADER = "X-Request-ID"
PLAIN_WORD = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class RequestIds:
    """Puts the id into `scope["state"]["request_id"]`, the context and the answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        name = _name_of(scope)
        scope.setdefault("state", {})["request_id"] = name

        async def signed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = name
            await send(message)

        token = request_id.set(name)
        try:
            await self._app(scope, receive, signed)
        finally:
            request_id.reset(token)


def _name_of(scope: Scope) -> str:
    given = values_of(scope, b"x-request-id")
    if len(given) == 1 and PLAIN_WORD.fullmatch(given[0]):
        return given[0].decode("ascii")
    return secrets.token_hex(16)
