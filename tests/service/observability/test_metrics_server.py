import socket
import time
import urllib.error
import urllib.request

import pytest

from service.errors import InputError
from service.observability.metrics_server import AT_ONCE, MetricsServer


@pytest.fixture
def server(monkeypatch):
    # Whoever says nothing keeps its place for the whole of a test.
    monkeypatch.setattr("service.observability.metrics_server.READING_SECONDS", 60.0)
    server = MetricsServer("127.0.0.1", 0, lambda: (b"up 1\n", "text/plain"))
    yield server
    server.close()


def get(port: int, path: str) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as response:
        assert response.headers["Content-Type"] == "text/plain"
        return response.read()


def test_metrics_are_served(server):
    assert get(server.port, "/metrics") == b"up 1\n"
    assert get(server.port, "/metrics?name=x") == b"up 1\n"


def test_anything_else_is_not_found(server):
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(server.port, "/")
    assert caught.value.code == 404
    caught.value.close()


def test_a_port_that_is_taken_is_an_input_error(server):
    with pytest.raises(InputError, match=f"port {server.port}"):
        MetricsServer("127.0.0.1", server.port, lambda: (b"", ""))


def test_clients_that_say_nothing_take_so_many_threads_and_no_more(server):
    silent = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(AT_ONCE)]
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as refused:
        assert refused.recv(1) == b""
    for connection in silent:
        connection.close()
    until = time.monotonic() + 30
    while True:
        try:
            assert get(server.port, "/metrics") == b"up 1\n"
            break
        except (urllib.error.URLError, ConnectionError):
            assert time.monotonic() < until, "no place became free"
            time.sleep(0.02)
