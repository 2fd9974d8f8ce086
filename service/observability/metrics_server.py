"""Metrics on a port of their own, without a key: for a network that only the monitoring reaches."""

import contextlib
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from service.errors import InputError

READING_SECONDS = 5.0
AT_ONCE = 8
POLL_SECONDS = 0.1


class MetricsServer:
    """Serves GET /metrics until it is closed; listens when it has been made.

    Args:
        host: address to listen on.
        port: 0 takes a free one.
        render: makes the exposition and its content type.

    Raises:
        InputError: it cannot listen there.
    """

    def __init__(self, host: str, port: int, render: Callable[[], tuple[bytes, str]]) -> None:
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            self._server = _make_server(family)((host, port), _make_handler(render))
        except OSError as error:
            raise InputError(f"cannot serve metrics on {host}, port {port}: {error.strerror or error}") from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_SECONDS,), name="metrics", daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _make_server(family: socket.AddressFamily) -> type[ThreadingHTTPServer]:
    class Server(ThreadingHTTPServer):
        address_family = family
        daemon_threads = True
        places = threading.BoundedSemaphore(AT_ONCE)

        def process_request(self, request: object, client_address: object) -> None:
            if self.places.acquire(blocking=False):
                super().process_request(request, client_address)  # type: ignore[arg-type]
            else:
                self.shutdown_request(request)  # type: ignore[arg-type]

        def process_request_thread(self, request: object, client_address: object) -> None:
            try:
                super().process_request_thread(request, client_address)  # type: ignore[arg-type]
            finally:
                self.places.release()

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that goes away is nothing to tell of."""

    return Server


def _make_handler(render: Callable[[], tuple[bytes, str]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = READING_SECONDS
        server_version = "isthmus"
        sys_version = ""

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            body, content_type = render()
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Scrapes are nothing to tell of."""

    return Handler
