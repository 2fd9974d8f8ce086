"""One connection, with bounds on what a client can hold of it that never sends a request, or never ends one.

Uvicorn's protocol reads heads of any size for any time, keeps what trails a body as if it had stood in front, queues
any number of requests behind one, and reads on for ever what a refused client still sends. A request that is let
through here has a head that is small and all there, and nothing is added to it later.
"""

import asyncio
import dataclasses
import enum
import json
from collections.abc import Callable
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConnectionLimits:
    """Bounds of connections.

    Attributes:
        connections: open at once; one more closes an idle one.
        head_bytes, headers: of the request line and all headers; and how many of them.
        head_seconds: until the head is there, from its first byte, or from when the connection was made.
        pipelined: requests that wait behind the one that is answered.
        framing_bytes: what chunks may take beside the body, besides eight times the body.
        chunks: how many any body may have, besides one in 256 bytes.
        linger_seconds: how long the rest of a body is read and thrown away after its request was answered, so that the
            client gets to the answer.
        write_seconds: how long a client may leave an answer unread.
        farewell_seconds: for a request that is on its way when the server stops.
    """

    connections: int
    head_bytes: int = 32 * 1024
    headers: int = 100
    head_seconds: float = 10.0
    pipelined: int = 32
    framing_bytes: int = 64 * 1024
    chunks: int = 10_000
    linger_seconds: float = 5.0
    write_seconds: float = 60.0
    farewell_seconds: float = 0.5


class _Timer(enum.Enum):
    HEAD = "head"
    LINGER = "linger"
    FAREWELL = "farewell"
    WRITE = "write"


class _RefusedError(Exception):
    """Raised inside of the parser, which then stops."""


def guarded_protocol(limits: ConnectionLimits) -> type["GuardedProtocol"]:
    """The protocol with its limits, for whoever makes one a connection."""
    return type("GuardedProtocol", (GuardedProtocol,), {"limits": limits})


class GuardedProtocol(HttpToolsProtocol):
    """A connection that costs no more than its limits."""

    limits: ClassVar[ConnectionLimits]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._timers: dict[_Timer, asyncio.TimerHandle] = {}
        self._in_head = True
        self._closes_after = self._is_deaf = False
        self._refusal: tuple[int, str] | None = None
        self._n_head = self._n_raw = self._n_body = self._n_chunks = 0
        super().connection_made(transport)
        self._make_room()
        self._arm(_Timer.HEAD, self.limits.head_seconds, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in list(self._timers):
            self._disarm(timer)
        super().connection_lost(exc)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing() or self._is_deaf:
            return
        if self._in_head:
            self._n_head += len(data)
            self._arm(_Timer.HEAD, self.limits.head_seconds, self._head_is_late)
        else:
            self._n_raw += len(data)
        was_in_head = self._in_head
        super().data_received(data)
        if was_in_head and self._in_head and self._n_head > self.limits.head_bytes:
            self._refuse(431, "the head of the request is too large")
        elif self._n_raw - self._n_body > self.limits.framing_bytes + 8 * self._n_body:
            self._refuse(400, "the chunks of the body are mostly framing")

    def on_message_begin(self) -> None:
        self._in_head = True
        self._arm(_Timer.HEAD, self.limits.head_seconds, self._head_is_late)
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        # What trails a body would stand among the headers that have been checked.
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.limits.head_bytes or len(self.headers) > self.limits.headers:
            self._stop_parsing(431, "the head of the request is too large")
        if len(self.pipeline) >= self.limits.pipelined:
            self._stop_parsing(400, "too many requests wait behind another on one connection")
        self._disarm(_Timer.HEAD)
        self._in_head = False
        self._n_head = self._n_raw = self._n_body = self._n_chunks = 0
        super().on_headers_complete()
        if self.parser.should_upgrade():
            # There is no other protocol to go on with, and what follows is in none.
            self.cycle.keep_alive = False
        elif not self.cycle.keep_alive and any(name in _BODY_HEADERS for name, _ in self.headers):
            # Closing with a body unread would reset the connection before the client has read why.
            self.cycle.keep_alive = self._closes_after = True

    def on_chunk_header(self) -> None:
        self._n_chunks += 1
        if self._n_chunks > self.limits.chunks + self._n_body // 256:
            self._stop_parsing(400, "the body comes in too many small chunks")

    def on_body(self, body: bytes) -> None:
        self._n_body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head = True
        self._n_head = self._n_raw = self._n_body = 0
        super().on_message_complete()
        if self._disarm(_Timer.LINGER):
            self._answered_and_read()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.pipeline:
            self.flow.pause_reading()
        if self.transport.is_closing():
            self._arm(_Timer.WRITE, self.limits.write_seconds, self.transport.abort)
        elif self.cycle.response_complete and not self._in_head:
            self._arm(_Timer.LINGER, self.limits.linger_seconds, self._close)
        elif self.cycle.response_complete and self._closes_after:
            self._close()

    def shutdown(self) -> None:
        """Be the last that this connection is used for: the request under way, or one that comes in a moment."""
        if self.is_idle:
            self._arm(_Timer.FAREWELL, self.limits.farewell_seconds, super().shutdown)
        else:
            super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        self._close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._arm(_Timer.WRITE, self.limits.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._disarm(_Timer.WRITE)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """Answer what is no request, in the form of every other failure, unless that would stand inside an answer."""
        if self._in_head and not self.is_idle:
            # What came before it were requests, and the last of them is answered before the connection closes.
            self._is_deaf, self.cycle.keep_alive = True, False
            return
        status, message = self._refusal or (400, "this is no HTTP/1.1 request")
        if self.is_idle or not (self.pipeline or self.cycle.response_started):
            body = json.dumps({"error": message}).encode()
            head = (
                b"content-type: application/json\r\ncontent-length: %d\r\n"
                b"x-content-type-options: nosniff\r\nconnection: close\r\n\r\n" % len(body)
            )
            self.transport.write(STATUS_LINE[status] + head + body)
        self._close()

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: strangers would fill the log."""

    def _answered_and_read(self) -> None:
        """Go on after a body that was read to its end when its answer had gone out already."""
        if self._closes_after:
            self._close()
        elif not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _head_is_late(self) -> None:
        if not self.is_idle:
            # The client waits for an answer, and gets that one.
            self.cycle.keep_alive = False
        elif self._n_head:
            self._refuse(408, "the head of the request did not come in")
        else:
            self._close()

    def _make_room(self) -> None:
        if len(self.connections) > self.limits.connections:
            others = (one for one in self.connections if one is not self and isinstance(one, GuardedProtocol))
            idle = (one for one in others if one.is_idle and not one.transport.is_closing())
            next(idle, self)._close()

    def _stop_parsing(self, status: int, message: str) -> None:
        self._refusal = (status, message)
        raise _RefusedError(message)

    def _refuse(self, status: int, message: str) -> None:
        if not self.transport.is_closing():
            self._refusal = (status, message)
            self.send_400_response(message)

    def _close(self) -> None:
        self.transport.close()
        self._arm(_Timer.WRITE, self.limits.write_seconds, self.transport.abort)

    def _arm(self, timer: _Timer, seconds: float, action: Callable[[], None]) -> None:
        """Start a timer, unless it runs already."""
        if timer not in self._timers:
            self._timers[timer] = self.loop.call_later(seconds, self._ring, timer, action)

    def _ring(self, timer: _Timer, action: Callable[[], None]) -> None:
        del self._timers[timer]
        action()

    def _disarm(self, timer: _Timer) -> bool:
        """Stop a timer; whether it ran."""
        handle = self._timers.pop(timer, None)
        if handle is not None:
            handle.cancel()
        return handle is not None


_BODY_HEADERS = frozenset({b"content-length", b"transfer-encoding"})
