"""Hostile clients on raw sockets: what they send is refused, costs bounded memory, and others go on being answered."""

import contextlib
import gzip
import json
import socket
import time
import zlib
from typing import Any

import httpx
import pytest
from hostile.clients import INFER, SPARE, Connection, bounded_memory, chunk, head, request, valid_body

pytestmark = pytest.mark.usefixtures("well")


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
    flood = chunk(b"x" * 1000) * 60
    with bounded_memory(server.process, 8 * server.body_bytes + SPARE), contextlib.ExitStack() as stack:
        connections = [stack.enter_context(Connection(server)) for _ in range(8)]
        for connection in connections:
            connection.send(head("Transfer-Encoding: chunked"))
        for _ in range(20):
            for connection in connections:
                connection.send(flood)
            # No body has come to its end yet.
            assert client.get("/v2/health/live").status_code == 200


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


def test_a_body_that_does_not_come_in_time_is_given_up(hasty_server: Any) -> None:
    with Connection(hasty_server, timeout=20) as connection:
        connection.send(head("Content-Length: 100") + b"{")
        assert connection.statuses() == [408]


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
    with bounded_memory(server.process, SPARE), Connection(server) as connection:
        connection.send(packet)
        statuses = connection.statuses()
    assert {200} <= set(statuses) <= {200, 400, 429}


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
    end = time.monotonic() + 60
    body = valid_body(digits)
    while client.post(INFER, content=body).status_code != 200:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_half_closed_client_is_answered_or_cut_off_but_not_kept(server: Any, digits: Any) -> None:
    with Connection(server) as connection:
        connection.send(request(valid_body(digits)))
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.statuses() in ([], [200])
