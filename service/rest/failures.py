"""What each failure looks like to a client: one table of status codes, one form of the body, `{"error": "…"}`.

An answer leaves the connection open wherever that can be done: a client's pool of connections outlives our mistakes.
"""

import asyncio
import dataclasses
import logging
import math
from collections.abc import Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from detector.types import DetectorError
from models.errors import ModelError
from service.errors import (
    ClientGoneError,
    DeadlineError,
    EngineError,
    InputError,
    NotFoundError,
    OverloadedError,
    TooLargeError,
    UnsupportedMediaError,
)

LONGEST_MESSAGE = 1000

Headers = tuple[tuple[str, str], ...]

logger = logging.getLogger(__name__)


class RefusedError(Exception):
    """A request that the server does not let in, with the status that says so."""

    def __init__(self, status: int, message: str, headers: Headers = ()) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failure:
    """What a client is told."""

    status: int
    message: str
    headers: Headers = ()


STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (TooLargeError, 413),
    (UnsupportedMediaError, 415),
    (NotFoundError, 404),
    (InputError, 400),
    (DetectorError, 400),
    (ModelError, 400),
    (OverloadedError, 429),
    (DeadlineError, 504),
    (EngineError, 503),
    (ClientGoneError, 499),
    (ClientDisconnect, 499),
)
"""The first that fits counts: what is more special stands further up."""


def failure_of(error: Exception) -> Failure:
    """What a client is told about an exception; nothing about those that are nobody's to put right but ours."""
    ours = _ours(error)
    if isinstance(ours, RefusedError):
        return Failure(status=ours.status, message=_shortened(str(ours)), headers=ours.headers)
    for kind, status in STATUSES:
        if isinstance(ours, kind):
            message = _shortened(str(ours)) or "the client has gone"
            return Failure(status=status, message=message, headers=_retry_after(ours))
    if isinstance(error, RequestValidationError):
        return Failure(status=400, message=_shortened(_describe(error)))
    if isinstance(error, HTTPException):
        headers = tuple((error.headers or {}).items())
        return Failure(status=error.status_code, message=_shortened(str(error.detail)), headers=headers)
    return Failure(status=500, message="the server made a mistake; its log has it under the request's id")


def respond(failure: Failure) -> JSONResponse:
    """The response that says it."""
    response = JSONResponse({"error": failure.message}, status_code=failure.status)
    for name, value in failure.headers:
        response.headers.append(name, value)
    return response


async def answer(_: Request, error: Exception) -> JSONResponse:
    """Handle what the framework raises by itself, in the form of everything else."""
    return respond(failure_of(error))


HANDLERS: Mapping[Any, Any] = {HTTPException: answer, RequestValidationError: answer}
"""For the framework, which has answers of its own to these."""


class Failures:
    """Answers whatever is raised further in, and keeps it from whoever would drop the connection for it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_started = False

        async def watched(message: Message) -> None:
            nonlocal is_started
            is_started = is_started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except asyncio.CancelledError:
            # Whoever stops the server waits no longer.
            if not is_started:
                await respond(Failure(status=503, message="the server is stopping"))(scope, receive, send)
            raise
        except Exception as error:
            failure = failure_of(error)
            if failure.status == 500:
                logger.error("a request failed through a mistake of ours", exc_info=error)
            if is_started:
                # Half an answer has gone out; only a cut connection says that the rest will not come.
                raise
            await respond(failure)(scope, receive, send)


def _ours(error: Exception) -> Exception:
    """Look through the framework's own exception, which it makes of whatever reading a body raises."""
    cause = error.__cause__
    known: tuple[type[Exception], ...] = (RefusedError, *(kind for kind, _ in STATUSES))
    is_ours = isinstance(error, HTTPException) and isinstance(cause, known)
    return cause if is_ours and isinstance(cause, Exception) else error


def _retry_after(error: Exception) -> Headers:
    if not isinstance(error, OverloadedError):
        return ()
    seconds = error.retry_after if math.isfinite(error.retry_after) else 1.0
    return (("Retry-After", str(max(1, math.ceil(seconds)))),)


def _describe(error: RequestValidationError) -> str:
    """Where and what, not the values: they are a stranger's, and may be long."""
    details = [f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in error.errors()[:5]]
    return "; ".join(details) or "the request is not what was expected"


def _shortened(message: str) -> str:
    # JSON can hold halves of characters, which no answer can be written with.
    message = message.encode("utf-8", "replace").decode("utf-8")
    return message if len(message) <= LONGEST_MESSAGE else f"{message[:LONGEST_MESSAGE]}…"
