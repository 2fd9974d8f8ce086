import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent.parent.parent / "deploy" / "image" / "healthcheck.py"


@pytest.fixture
def server() -> Iterator[http.server.HTTPServer]:
    """Answers what its attribute `status` says, to the one path that is right."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(self.server.status if self.path == "/v2/health/ready" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield listening
        listening.shutdown()
        thread.join()


def checked(**variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", str(SCRIPT)]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (404, 1)])
def test_only_a_server_that_is_ready_is_healthy(server: http.server.HTTPServer, status: int, code: int) -> None:
    server.status = status
    ended = checked(ISTHMUS_HOST="0.0.0.0", ISTHMUS_PORT=str(server.server_port))
    assert ended.returncode == code, ended.stderr
    assert (str(status) in ended.stderr) == (code == 1)


def test_where_nothing_listens_nothing_is_healthy(server: http.server.HTTPServer) -> None:
    server.server_close()
    assert "does not answer" in checked(ISTHMUS_PORT=str(server.server_port)).stderr


def test_a_server_with_tls_is_asked_by_tls(server: http.server.HTTPServer) -> None:
    server.status = 200
    # What listens speaks no TLS: the question must not be put in the clear.
    ended = checked(ISTHMUS_PORT=str(server.server_port), ISTHMUS_TLS_CERTIFICATE="chain.pem")
    assert ended.returncode == 1
    assert "SSL" in ended.stderr
