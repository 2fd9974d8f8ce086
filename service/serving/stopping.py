"""A server that ends well: it lets those who send requests go elsewhere first, and answers what it has accepted."""

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator

import uvicorn

from service.settings import ServeSettings

SIGNALS = (signal.SIGTERM, signal.SIGINT)
EXIT_CUT_SHORT = 1
LAST_RESORT_SECONDS = 10.0

logger = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """The first signal: not ready → `drain_seconds` → nothing new → what was accepted → the end. The second: now.

    Attributes:
        is_cut_short: whether something accepted was not answered within `shutdown_seconds`.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        settings: ServeSettings,
        draining: threading.Event,
        on_listening: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._settings = settings
        self._draining = draining
        self._on_listening = on_listening
        self.is_cut_short = False
        # A device that hangs, or a thread that does not end, must not keep the process.
        seconds = settings.shutdown_seconds + LAST_RESORT_SECONDS
        self._last_resort = threading.Timer(seconds, os._exit, (EXIT_CUT_SHORT,))
        self._last_resort.daemon = True

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            super().run(sockets)
        finally:
            self._last_resort.cancel()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._last_resort.start()
        late = asyncio.get_running_loop().call_later(self._settings.shutdown_seconds, self._cut_short)
        # Whoever is in the system's queue has a connection already, and may have sent a request.
        queued = [connection for listener in sockets or () for connection in _close_door(listener)]
        await asyncio.gather(*(self._take_in(connection) for connection in queued), return_exceptions=True)
        await super().shutdown(sockets)
        late.cancel()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals here: uvicorn stops accepting at once, and ends by the signal instead of with a code."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self.stop, number)
        try:
            yield
        finally:
            for number in SIGNALS:
                loop.remove_signal_handler(number)

    def stop(self, number: signal.Signals) -> None:
        """Begin to end; asked again, end."""
        if self._draining.is_set():
            logger.warning("stopping at once, on a second signal", extra={"signal": number.name})
            os._exit(128 + number)
        self._draining.set()
        logger.info("draining", extra={"signal": number.name, "seconds": self._settings.drain_seconds})
        asyncio.get_running_loop().call_later(self._settings.drain_seconds, self._stop_accepting)

    async def _take_in(self, connection: socket.socket) -> None:
        config = self.config

        def protocol() -> asyncio.Protocol:
            state = self.lifespan.state
            return config.http_protocol_class(config=config, server_state=self.server_state, app_state=state)  # type: ignore[call-arg]

        await asyncio.get_running_loop().connect_accepted_socket(protocol, connection, ssl=config.ssl)

    def _stop_accepting(self) -> None:
        logger.info("stopping")
        self.should_exit = True

    def _cut_short(self) -> None:
        if self.server_state.tasks:
            self.is_cut_short = True
            logger.error("%d requests were not answered in time", len(self.server_state.tasks))


def _close_door(listener: socket.socket) -> list[socket.socket]:
    """Accept what waits, and nothing after it."""
    connections = []
    _turn_away(listener)
    with contextlib.suppress(OSError):
        listener.setblocking(False)
        while True:
            connections.append(listener.accept()[0])
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    return connections


def _turn_away(listener: socket.socket) -> None:
    """Let nobody into the system's queue any more, where it can be told to.

    Whoever came in between the last that is accepted and the shutdown would be cut off. On Linux a filter that drops
    everything keeps new connections out, and those that are there already have none; see socket(7) and bpf(2).
    """
    if sys.platform != "linux":
        return
    drop_all = ctypes.create_string_buffer(struct.pack("HBBI", _BPF_RETURN, 0, 0, 0))
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(drop_all)))


_SO_ATTACH_FILTER = 26
_BPF_RETURN = 0x06
