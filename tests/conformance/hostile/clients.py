"""Clients on raw sockets that say what they like, and a watch over what that costs the server."""

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import psutil

INFER = "/v2/models/digits/infer"
SPARE = 24 * 2**20
"""Bytes that a request may cost besides its body; thirty-two bodies would not fit."""


@contextlib.contextmanager
def bounded_memory(process: psutil.Process, n_bytes: int) -> Iterator[None]:
    """Fails if the process takes so much more at any time within the block."""
    before = process.memory_info().rss
    peak = before
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.005):
            peak = max(peak, process.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    assert peak - before < n_bytes, f"{(peak - before) / 2**20:.1f} MiB more"


class Connection:
    """A socket on which anything can be said."""

    def __init__(self, server: Any, timeout: float = 30.0) -> None:
        self.socket = socket.create_connection((server.host, server.port), timeout=timeout)

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> bool:
        """Whether the other side still took it."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def statuses(self) -> list[int]:
        """Of every answer until the other side closes."""
        return [status for status, _, _ in self.answers()]

    def answers(self) -> Iterator[tuple[int, dict[str, str], bytes]]:
        """Status, headers and body of each answer until the other side closes; what is no answer in HTTP fails.

        Raises:
            TimeoutError: the other side neither answers nor closes.
        """
        reader = self.socket.makefile("rb")
        with reader:
            while True:
                try:
                    line = reader.readline()
                except ConnectionResetError:
                    return
                if not line:
                    return
                version, status, _ = line.decode("latin-1").split(" ", 2)
                assert version == "HTTP/1.1"
                headers = {name.lower(): value for name, value in http.client.parse_headers(reader).items()}
                yield int(status), headers, reader.read(int(headers.get("content-length", 0)))


def head(*fields: str, path: str = INFER) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *fields]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def request(body: bytes, *fields: str, path: str = INFER) -> bytes:
    return head(f"Content-Length: {len(body)}", *fields, path=path) + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def valid_body(digits: Any, name: str = "x") -> bytes:
    tensor = {
        "name": "pixels",
        "shape": [1, 1, 8, 8],
        "datatype": "UINT8",
        "data": digits.pixels[0].flatten().tolist(),
    }
    return json.dumps({"id": name, "inputs": [tensor], "outputs": [{"name": "label"}]}).encode()
