"""`isthmus view`: the page on a port of this machine, until it is stopped."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import typer
import uvicorn

from service.console import printable
from service.errors import InputError
from service.viewing.app import create_app
from service.viewing.state import View

HOST = "127.0.0.1"
LAST_SECONDS = 3


def run_view(folder: Path, *, port: int, allow_urls: bool) -> None:
    """Show an audit until a signal comes.

    Args:
        port: 0 takes a free one.
        allow_urls: whether pictures that are not on this machine are fetched.

    Raises:
        InputError: the folder is no audit, or the port is taken.
    """
    view = View(folder, allow_urls=allow_urls)
    try:
        with _listener(port) as listener:
            config = uvicorn.Config(
                create_app(view),
                ws="none",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=LAST_SECONDS,
            )
            listener.listen()
            address = f"http://{HOST}:{listener.getsockname()[1]}"
            typer.echo(f"Isthmus shows {printable(folder)} on {address} to this machine alone; stop it with Ctrl+C")
            _Server(config).run([listener])
    finally:
        view.close()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End in order on the first signal, and at once on the second: uvicorn would end by the signal instead."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True


def _listener(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise InputError(f"cannot listen on {HOST} port {port}: {error.strerror}; give another --port") from error
    return listener
