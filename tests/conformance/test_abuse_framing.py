"""Hostile clients on raw sockets: requests that end elsewhere than they say, or nowhere."""

import contextlib
import socket
from typing import Any

import pytest
from hostile.clients import SPARE, Connection, bounded_memory, chunk, head, valid_body

pytestmark = pytest.mark.usefixtures("well")

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
    with Connection(server) as connection:
        connection.send(framing)
        answers = connection.answers()
        status, _, _ = next(answers)
        with contextlib.suppress(OSError):
            connection.socket.shutdown(socket.SHUT_WR)
        assert list(answers) == []
    assert 400 <= status < 500


@pytest.mark.parametrize("length_too_large", [True, False])
def test_a_body_of_another_length_than_it_says_is_not_judged(
    hasty_server: Any, digits: Any, length_too_large: bool
) -> None:
    body = valid_body(digits)
    declared = len(body) + (5 if length_too_large else -5)
    with Connection(hasty_server, timeout=20) as connection:
        connection.send(head(f"Content-Length: {declared}") + body)
        statuses = connection.statuses()
    assert statuses
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
