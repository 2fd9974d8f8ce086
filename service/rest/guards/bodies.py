"""Bodies of requests: how large, how long they may take, how they are compressed, how much memory all take together.

Nothing is read that was not asked for: routes read a body after they have a permit. What is refused here is raised
where the route reads, and stays so.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import InputError, OverloadedError, TooLargeError
from service.rest.failures import RefusedError
from service.rest.guards.decompression import Coding, Inflater, coding_of
from service.rest.guards.headers import single, values_of
from service.settings import ServeSettings

ARCHIVES_PATH = "/v1/audits"
FORM = "multipart/form-data"
ARCHIVES = (
    "application/zip",
    "application/x-zip-compressed",
    "application/x-tar",
    "application/gzip",
    "application/x-gzip",
    "application/x-gtar",
    "application/octet-stream",
)
LARGE_MEDIA = frozenset(media.encode() for media in (FORM, *ARCHIVES))
"""What is written to disk as it comes. Nothing else may be large: a route would hold it in memory."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BodyLimits:
    """What a body may be.

    Attributes:
        n_bytes: before and after decompression.
        seconds: from when it is first read until its end.
        in_memory: whether it counts against the memory of all; False for what routes write to disk as it comes.
    """

    n_bytes: int
    seconds: float
    in_memory: bool = True


class BodyBudget:
    """Memory for all bodies. Belongs to the event loop; not thread-safe."""

    def __init__(self, n_bytes: int) -> None:
        self.n_free = n_bytes

    def take(self, n_bytes: int) -> None:
        """Take memory.

        Raises:
            OverloadedError: there is not so much; nothing was taken.
        """
        if n_bytes > self.n_free:
            raise OverloadedError("other requests' bodies fill the memory; come again later", retry_after=1.0)
        self.n_free -= n_bytes

    def give_back(self, n_bytes: int) -> None:
        """Give back what was taken."""
        self.n_free += n_bytes


def large_bodies(settings: ServeSettings) -> dict[str, BodyLimits]:
    """Limits of the paths that take more than others: an archive has longer to come in, at the same pace."""
    pace = max(1.0, settings.archive_bytes / settings.body_bytes)
    limits = BodyLimits(n_bytes=settings.archive_bytes, seconds=settings.body_seconds * pace, in_memory=False)
    return {ARCHIVES_PATH: limits}


class Bodies:
    """Puts its own `receive` before the routes', which see bodies decompressed and within their limits."""

    def __init__(
        self,
        app: ASGIApp,
        limits: BodyLimits,
        large: Mapping[str, BodyLimits],
        budget: BodyBudget,
        rejected: Callable[[str], None],
    ) -> None:
        self._app = app
        self._limits = limits
        self._large = large
        self._budget = budget
        self._rejected = rejected

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = single(scope, b"content-length")
        body = _Body(receive, self._limits_of(scope), self._budget, _coding(scope))
        try:
            body.check_length(declared)
            await self._app(scope, body.receive, send)
        except OverloadedError as error:
            if error is not body.failure:
                self._rejected(error.reason)
            raise
        finally:
            if isinstance(body.failure, TooLargeError | OverloadedError | RefusedError):
                self._rejected("bodies")
            body.forget()

    def _limits_of(self, scope: Scope) -> BodyLimits:
        media = (single(scope, b"content-type") or b"").partition(b";")[0].strip().lower()
        return self._large.get(scope["path"], self._limits) if media in LARGE_MEDIA else self._limits


def _coding(scope: Scope) -> Coding | None:
    """How the body is compressed; what comes further in is not, and its headers no longer say so."""
    framing = values_of(scope, b"transfer-encoding")
    if framing and [value.strip().lower() for value in framing] != [b"chunked"]:
        raise InputError("Transfer-Encoding may be chunked and nothing else; say gzip or deflate in Content-Encoding")
    coding = coding_of(values_of(scope, b"content-encoding"))
    if coding is not None:
        gone = {b"content-encoding", b"content-length"}
        scope["headers"] = [(name, value) for name, value in scope["headers"] if name not in gone]
    return coding


class _Body:
    """The body of one request, while it is read."""

    def __init__(self, receive: Receive, limits: BodyLimits, budget: BodyBudget, coding: Coding | None) -> None:
        self._receive = receive
        self._limits = limits
        self._budget = budget
        self._inflater = None if coding is None else Inflater(coding)
        self._deadline: float | None = None
        self._n_raw = 0
        self._n_given = 0
        self._n_held = 0
        self._is_over = False
        self._is_given = False
        self.failure: Exception | None = None

    def check_length(self, declared: bytes | None) -> None:
        """Refuse what says by itself that it is too large; `declared` was checked to be a number by the parser."""
        n_bytes = int(declared) if declared is not None and declared.isdigit() else 0
        try:
            self._check_size(n_bytes)
            if self._limits.in_memory and n_bytes > self._budget.n_free:
                self._budget.take(n_bytes)
        except (TooLargeError, OverloadedError) as error:
            self.failure = error
            raise

    async def receive(self) -> Message:
        """What comes next: a piece of the body, or after all of them that the client has gone."""
        if self.failure is not None:
            raise self.failure
        if self._is_given:
            return await self._receive()
        try:
            return await self._next()
        except Exception as error:
            self.failure = error
            raise

    def forget(self) -> None:
        """The request is over: its memory is free."""
        self._budget.give_back(self._n_held)
        self._n_held = 0

    async def _next(self) -> Message:
        if self._inflater is None:
            message = await self._raw()
            return message if message["type"] != "http.request" else self._given(message.get("body", b""))
        while not (piece := self._inflater.take()):
            if self._is_over:
                self._inflater.finish()
                return self._given(b"")
            message = await self._raw()
            if message["type"] != "http.request":
                return message
            self._inflater.feed(message.get("body", b""))
        # Others have their turn between two pieces of a bomb.
        await asyncio.sleep(0)
        return self._given(piece)

    def _given(self, piece: bytes) -> Message:
        self._n_given += len(piece)
        self._check_size(self._n_given)
        if self._limits.in_memory:
            self._budget.take(len(piece))
            self._n_held += len(piece)
        self._is_given = self._is_over and (self._inflater is None or not piece)
        return {"type": "http.request", "body": piece, "more_body": not self._is_given}

    async def _raw(self) -> Message:
        loop = asyncio.get_running_loop()
        if self._deadline is None:
            self._deadline = loop.time() + self._limits.seconds
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise RefusedError(
                408, f"the body did not come in within {self._limits.seconds:g} seconds", (("Connection", "close"),)
            ) from None
        if message["type"] == "http.request":
            self._n_raw += len(message.get("body", b""))
            self._check_size(self._n_raw)
            self._is_over = not message.get("more_body", False)
        return message

    def _check_size(self, n_bytes: int) -> None:
        if n_bytes > self._limits.n_bytes:
            raise TooLargeError(f"a body may have {self._limits.n_bytes} bytes, compressed or not, and this has more")
