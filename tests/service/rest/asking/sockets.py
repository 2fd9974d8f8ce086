"""An application on a real socket, and what can be said to it and heard from it."""

import contextlib
import dataclasses
import re
import socket

import uvicorn

from service.rest.guards.connections import GuardedProtocol

SECONDS = 30.0
"""That a busy machine may take over what takes milliseconds."""


@dataclasses.dataclass(frozen=True)
class Served:
    """An application on a real socket."""

    port: int
    server: uvicorn.Server

    @property
    def connections(self) -> list[GuardedProtocol]:
        """Those that are open now."""
        return [one for one in list(self.server.server_state.connections) if isinstance(one, GuardedProtocol)]

    def is_answering(self) -> bool:
        """Whether a request has come in that has no answer yet."""
        return any(not one.is_idle for one in self.connections)

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS)
        connection.settimeout(SECONDS)
        return connection

    def exchange(self, request: bytes) -> bytes:
        """Everything that comes back until the server closes."""
        with self.connect() as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(request)
            return self.read_all(connection)

    @staticmethod
    def read_status(connection: socket.socket) -> int:
        """Read one answer, whose length stands in its head, to its end."""
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += connection.recv(4096)
        head, _, body = answer.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        assert length is not None
        while len(body) < int(length[1]):
            body += connection.recv(4096)
        return int(head.split(b" ")[1])

    @staticmethod
    def read_all(connection: socket.socket) -> bytes:
        parts = []
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(65536):
                parts.append(part)
        return b"".join(parts)
