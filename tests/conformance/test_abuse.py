"""Hostile clients on raw sockets: what they send is refused, costs bounded memory, and others go on being answered."""

import contextlib
import gzip
import http.client
import json
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest

INFER = "/v2/models/digits/infer"
SPARE = 24 * 2**20
"""Bytes that a request may cost besides its body; thirty-two bodies would not fit."""


@pytest.fixture(scope="module")
def client(server: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


@pytest.fixture(autouse=True)
def well(client: httpx.Client, digits: Any) -> Iterator[None]:
    """After each kind of abuse the server is well, and judges as before."""
    yield
    assert client.get("/v2/health/ready").json() == {"live": True, "ready": True}
    answer = client.post("/v1/detect", content=digits.files[0], headers={"Content-Type": "image/png"})
    assert answer.status_code == 200
    assert answer.json()["results"][0]["decision"] == digits.verdicts[0].decision.value


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
        """Of every answer until the other side closes, or says nothing more."""
        return [status for status, _, _ in self.answers()]

    def answers(self) -> Iterator[tuple[int, dict[str, str], bytes]]:
        """Status, headers and body of each answer; what is no answer in HTTP fails."""
        reader = self.socket.makefile("rb")
        with reader:
            while True:
                try:
                    line = reader.readline()
                except (TimeoutError, ConnectionResetError):
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


@pytest.mark.parametrize("size", [1, 64, 65536], ids="chunks of {} bytes".format)
def test_a_flood_of_chunks_ends_at_the_cap_and_costs_no_memory(server: Any, size: int) -> None:
    n_chunks = 5 * server.body_bytes // size if size > 1 else 200_000
    flood = chunk(b"x" * size) * max(1, 65536 // size)
    with bounded_memory(server.process, server.body_bytes + SPARE), Connection(server) as connection:
        assert connection.send(head("Transfer-Encoding: chunked"))
        for _ in range(max(1, n_chunks // max(1, 65536 // size))):
            if not connection.send(flood):
                break
        status, _, body = next(connection.answers())
    assert status in {400, 413}
    assert list(json.loads(body)) == ["error"]


def test_many_floods_at_once_do_not_keep_others_from_being_answered(server: Any, client: httpx.Client) -> None:
    slowest = 0.0
    flood = chunk(b"x" * 1000) * 60
    with bounded_memory(server.process, 8 * server.body_bytes + SPARE), contextlib.ExitStack() as stack:
        connections = [stack.enter_context(Connection(server)) for _ in range(8)]
        for connection in connections:
            connection.send(head("Transfer-Encoding: chunked"))
        for _ in range(20):
            for connection in connections:
                connection.send(flood)
            begun = time.monotonic()
            assert client.get("/v2/health/live").status_code == 200
            slowest = max(slowest, time.monotonic() - begun)
    assert slowest < 5.0


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_compressed_bomb_ends_at_the_cap(server: Any, coding: str) -> None:
    pump = zlib.compressobj(1, zlib.DEFLATED, 31 if coding == "gzip" else 15)
    zeros = bytes(2**20)
    bomb = b"".join(pump.compress(zeros) for _ in range(128)) + pump.flush()
    assert len(bomb) < server.body_bytes
    with bounded_memory(server.process, server.body_bytes + SPARE), Connection(server) as connection:
        connection.send(request(bomb, f"Content-Encoding: {coding}"))
        status, headers, body = next(connection.answers())
    assert status == 413
    assert headers["content-type"] == "application/json"
    assert list(json.loads(body)) == ["error"]


@pytest.mark.parametrize(
    ("coding", "body", "status"),
    [
        ("gzip", gzip.compress(b"{}")[:-4], 400),
        ("gzip", gzip.compress(b"{}") + b"more", 400),
        ("gzip", gzip.compress(b"{}") + gzip.compress(b"{}"), 400),
        ("gzip", b"{}", 400),
        ("gzip", zlib.compress(b"{}"), 400),
        ("deflate", gzip.compress(b"{}"), 400),
        ("gzip", gzip.compress(b"{}")[:-8] + bytes(8), 400),
        ("gzip, gzip", gzip.compress(gzip.compress(b"{}")), 415),
        ("br", b"{}", 415),
        ("zstd", b"{}", 415),
    ],
    # The bytes hold the time of day.
    ids=["cut", "tail", "two", "none", "zlib", "gzip as deflate", "wrong sums", "twice", "br", "zstd"],
)
def test_what_is_not_compressed_as_it_says_is_refused(
    client: httpx.Client, coding: str, body: bytes, status: int
) -> None:
    answer = client.post(INFER, content=body, headers={"Content-Encoding": coding})
    assert (answer.status_code, list(answer.json())) == (status, ["error"])


FRAMINGS = {
    "two lengths": head("Content-Length: 2", "Content-Length: 3") + b"{}",
    "length and chunks": head("Content-Length: 2", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "a negative length": head("Content-Length: -1"),
    "a length in hex": head("Content-Length: 0x2") + b"{}",
    "a signed length": head("Content-Length: +2") + b"{}",
    "an endless length": head("Content-Length: " + "9" * 40),
    "a list of lengths": head("Content-Length: 2, 2") + b"{}",
    "unknown transfer coding": head("Transfer-Encoding: xchunked") + b"0\r\n\r\n",
    "chunked twice": head("Transfer-Encoding: chunked, chunked") + b"0\r\n\r\n",
    "chunked before gzip": head("Transfer-Encoding: chunked, gzip") + b"0\r\n\r\n",
    "chunk size not hex": head("Transfer-Encoding: chunked") + b"zz\r\n{}\r\n0\r\n\r\n",
    "chunk size beyond 64 bits": head("Transfer-Encoding: chunked") + b"f" * 17 + b"\r\n{}\r\n",
    "negative chunk size": head("Transfer-Encoding: chunked") + b"-2\r\n{}\r\n0\r\n\r\n",
    "chunk longer than it says": head("Transfer-Encoding: chunked") + b"1\r\n{}\r\n0\r\n\r\n",
    "a zero byte in a header": head("X-Y: a\0b", "Content-Length: 2") + b"{}",
    "a folded header": head("X-Y: a\r\n b: c", "Content-Length: 2") + b"{}",
    "space before the colon": head("Content-Length : 2") + b"{}",
    "no host": b"POST /v2 HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "two hosts": head("Host: example.org", "Content-Length: 2") + b"{}",
    "HTTP/0.9": b"GET /v2\r\n\r\n",
    "HTTP/3.0": b"GET /v2 HTTP/3.0\r\nHost: localhost\r\n\r\n",
    "HTTP/2 by force": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "no HTTP": b"\0" * 512,
    "a method of its own": b"BREW /v2 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a path with a carriage return": b"GET /v2\rX: y HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a path with a space": b"GET /v2 /models HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "somebody else's server": b"GET http://example.org/v2 HTTP/1.1\r\nHost: example.org\r\n\r\n",
    "a tunnel": b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n",
}


@pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
def test_bad_framing_is_refused_and_never_taken_for_two_requests(server: Any, framing: bytes) -> None:
    with Connection(server, timeout=3) as connection:
        connection.send(framing)
        connection.socket.shutdown(socket.SHUT_WR)
        statuses = connection.statuses()
    assert len(statuses) <= 1
    assert all(400 <= status < 500 for status in statuses), statuses


@pytest.mark.parametrize("length_too_large", [True, False])
def test_a_body_of_another_length_than_it_says_is_not_judged(server: Any, digits: Any, length_too_large: bool) -> None:
    body = valid_body(digits)
    declared = len(body) + (5 if length_too_large else -5)
    with Connection(server, timeout=server.body_seconds + 20) as connection:
        connection.send(head(f"Content-Length: {declared}") + body)
        statuses = connection.statuses()
    assert set(statuses) <= {400, 408}


def test_a_head_without_end_is_refused_and_costs_no_memory(server: Any) -> None:
    with bounded_memory(server.process, SPARE), Connection(server) as connection:
        connection.send(b"GET /v2 HTTP/1.1\r\nHost: localhost\r\nX-Y: ")
        for _ in range(400):
            if not connection.send(b"y" * 65536):
                break
        statuses = connection.statuses()
    assert all(status in {400, 431} for status in statuses)


def test_trailers_without_end_are_refused_and_cost_no_memory(server: Any) -> None:
    with bounded_memory(server.process, SPARE), Connection(server) as connection:
        connection.send(head("Transfer-Encoding: chunked") + chunk(b"{}") + b"0\r\n")
        for _ in range(400):
            if not connection.send(b"X-Y: y\r\n" * 8000):
                break
        statuses = connection.statuses()
    assert all(400 <= status < 500 for status in statuses)


def test_a_body_that_does_not_come_in_time_is_given_up(server: Any) -> None:
    with Connection(server, timeout=server.body_seconds + 30) as connection:
        connection.send(head("Content-Length: 100") + b"{")
        begun = time.monotonic()
        statuses = connection.statuses()
    assert statuses == [408]
    assert time.monotonic() - begun < server.body_seconds + 20


def test_requests_in_one_packet_are_answered_in_their_order(server: Any, digits: Any) -> None:
    names = [f"r{index}" for index in range(8)]
    with Connection(server) as connection:
        packet = b"".join(
            request(valid_body(digits, name), f"X-Request-ID: {name}", *(["Connection: close"] * (name == names[-1])))
            for name in names
        )
        connection.send(packet)
        answers = list(connection.answers())
    assert [status for status, _, _ in answers] == [200] * len(names)
    assert [headers["x-request-id"] for _, headers, _ in answers] == names
    assert [json.loads(body)["id"] for _, _, body in answers] == names


def test_thousands_of_requests_in_one_packet_are_refused_or_answered(server: Any) -> None:
    packet = b"GET /v2/models HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5000
    with bounded_memory(server.process, SPARE), Connection(server, timeout=3) as connection:
        connection.send(packet)
        statuses = connection.statuses()
    assert set(statuses) <= {200, 400, 429}


def test_clients_that_leave_give_their_places_back(server: Any, client: httpx.Client, digits: Any) -> None:
    whole = request(valid_body(digits))
    for _ in range(70):
        with Connection(server) as halved:
            halved.send(whole)
            halved.socket.shutdown(socket.SHUT_WR)
        with Connection(server) as cut:
            cut.send(whole[:-5])
        with Connection(server) as gone:
            gone.send(whole)
    end = time.monotonic() + 30
    body = valid_body(digits)
    while client.post(INFER, content=body).status_code != 200:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_half_closed_client_is_answered_or_cut_off_but_not_kept(server: Any, digits: Any) -> None:
    with Connection(server) as connection:
        connection.send(request(valid_body(digits)))
        connection.socket.shutdown(socket.SHUT_WR)
        begun = time.monotonic()
        assert connection.statuses() in ([], [200])
        assert time.monotonic() - begun < 20
