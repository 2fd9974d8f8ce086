"""Over real sockets: what a client can do that speaks no HTTP, or too much of it."""

import contextlib
import socket
import threading
import time

import pytest
from asking.raw_requests import CHUNKED, CLOSE, GET, HEAD, LIVE, LONG, POST, statuses
from asking.waiting import wait_until

from service.rest.guards.connections import ConnectionLimits


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/3.0\r\n\r\n",
        b"get / HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT localhost:80 HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"GET /\x00 HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"GET /\xff HTTP/1.1\r\n" + HEAD + b"\r\n",
        GET + b"A\x00: b\r\n\r\n",
        GET + b"A : b\r\n\r\n",
        GET + b" folded: b\r\n\r\n",
        GET + b"A: b\x00c\r\n\r\n",
        POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: +1\r\n\r\na",
        POST + b"Content-Length: 0x1\r\n\r\na",
        POST + b"Content-Length: 1,1\r\n\r\na",
        POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
        POST + b"Content-Length: 1\r\n" + CHUNKED + b"1\r\na\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n1\r\na\r\n0\r\n\r\n",
        POST + CHUNKED + b"-1\r\n",
        POST + CHUNKED + b"x\r\n",
        POST + CHUNKED + b"ffffffffffffffffff\r\n",
        POST + CHUNKED + b"1\r\nab\r\n0\r\n\r\n",
        POST + CHUNKED + b"1\na\n0\n\n",
    ],
)
def test_what_is_no_request_is_refused_in_the_form_of_every_failure_and_the_next_bytes_are_not_read(
    small_app, served, request_bytes
):
    answer = served(small_app()).exchange(request_bytes + LIVE)
    assert statuses(answer)[-1] == 400, answer
    assert b'{"error":' in answer
    assert b"200 OK" not in answer


@pytest.mark.parametrize("garbage", [b"no request\r\n\r\n", GET + b"A: " + b"a" * 10**5], ids=["garbage", "large"])
@pytest.mark.parametrize("when", ["at once", "later"])
def test_what_is_no_request_takes_no_answer_from_those_before_it(small_app, served, garbage, when):
    held = b"GET /v1/held HTTP/1.1\r\n" + HEAD + b"\r\n"
    app = small_app()
    server = served(app)
    for n_before in (1, 3):
        for _ in range(n_before - 1):
            app.state.may_answer.release()
        with server.connect() as connection:
            if when == "at once":
                connection.sendall(held * n_before + garbage + LIVE)
            else:
                connection.sendall(held * n_before)
                wait_until(server.is_answering)
                connection.sendall(garbage + LIVE)
            wait_until(lambda: any(one._is_deaf for one in server.connections))
            app.state.may_answer.release()
            assert statuses(server.read_all(connection)) == [200] * n_before


def test_framing_that_two_servers_could_read_in_two_ways_is_no_way_in(small_app, served):
    """What stands in a body stays in the body, whatever the headers say around it."""
    inner = b"GET /v1/fail HTTP/1.1\r\nHost: localhost\r\n\r\n"
    server = served(small_app())
    for framing in (
        b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n",
        b"Transfer-Encoding: xchunked\r\n\r\n",
        b"Transfer-Encoding:\tchunked, identity\r\n\r\n0\r\n\r\n",
    ):
        answer = server.exchange(POST + CLOSE + framing + inner)
        assert 500 not in statuses(answer), answer
        assert statuses(answer)[0] == 400


def test_a_head_may_not_be_large(small_app, served):
    server = served(small_app(), head_bytes=4000, headers=20)
    for large in (
        GET + b"A: " + b"a" * 5000 + b"\r\n\r\n",
        GET + b"a" * 5000 + b": b\r\n\r\n",
        b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
        GET + b"A: b\r\n" * 30 + b"\r\n",
        GET + b"A: " + b"a" * 5000,
        b"GET /" + b"a" * 5000,
        GET + b"A: " + b"a" * 10**6,
    ):
        assert statuses(server.exchange(large)) == [431], large[:40]
    assert statuses(server.exchange(GET + b"A: b\r\n" * 10 + CLOSE + b"\r\n")) == [200]


def test_a_head_that_never_ends_is_not_kept(small_app, served):
    server = served(small_app(), head_bytes=4000)
    with server.connect() as connection, pytest.raises(ConnectionError):
        connection.sendall(GET)
        until = time.monotonic() + LONG
        while time.monotonic() < until:
            connection.sendall(b"A: " + b"a" * 1000 + b"\r\n")
            time.sleep(0.001)


def test_a_head_that_does_not_come_in_is_waited_for_no_longer(small_app, served):
    server = served(small_app(), head_seconds=1.0)
    began = time.monotonic()
    with server.connect() as slow, server.connect() as silent:
        slow.sendall(GET)
        assert statuses(server.read_all(slow)) == [408]
        assert time.monotonic() - began > 0.9
        assert server.read_all(silent) == b""


def test_dripping_bytes_do_not_prolong_it(small_app, served):
    server = served(small_app(), head_seconds=0.2)
    began = time.monotonic()
    with server.connect() as connection, pytest.raises(ConnectionError):
        connection.sendall(b"GET /")
        while time.monotonic() - began < LONG:
            connection.sendall(b"a")
            time.sleep(0.02)


def test_empty_lines_do_not_keep_a_connection_either(small_app, served):
    server = served(small_app(), head_seconds=0.2)
    began = time.monotonic()
    with server.connect() as connection, pytest.raises(ConnectionError):
        connection.sendall(LIVE)
        while time.monotonic() - began < LONG:
            connection.sendall(b"\r\n")
            time.sleep(0.02)


def test_an_idle_connection_is_closed_after_a_while(small_app, served):
    server = served(small_app(), keep_alive=0.1)
    assert statuses(server.exchange(LIVE)) == [200]


def test_requests_behind_one_another_are_answered_in_order_and_are_not_without_number(small_app, served):
    server = served(small_app(), pipelined=8)
    answer = server.exchange(LIVE * 4 + GET + CLOSE + b"\r\n")
    assert statuses(answer) == [200] * 5
    assert len(statuses(server.exchange(LIVE * 5000))) < 5000
    # Also where each answer would let some more in: those that were let in are answered, and no other is read.
    with server.connect() as connection:
        with contextlib.suppress(ConnectionError):
            for _ in range(2000):
                connection.sendall(b"GET /v1/slow HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
        assert len(statuses(server.read_all(connection))) <= 1 + 8
    assert statuses(server.exchange(GET + CLOSE + b"\r\n")) == [200]


def test_asking_for_another_protocol_changes_nothing(small_app, served, caplog):
    for upgrade in (b"websocket", b"h2c"):
        for head, body in ((GET, b""), (POST + b"Content-Length: 1\r\n", b"a")):
            request = head + b"Connection: Upgrade\r\nUpgrade: " + upgrade + b"\r\n\r\n" + body
            assert statuses(served(small_app()).exchange(request + LIVE)) == [200]
    assert "upgrade" not in caplog.text.lower()


def test_when_connections_run_out_an_idle_one_makes_room(small_app, served):
    server = served(small_app(), connections=5)
    crowd = [server.connect() for _ in range(20)]
    try:
        assert statuses(server.exchange(GET + CLOSE + b"\r\n")) == [200]
        wait_until(lambda: len(server.connections) <= 5)
    finally:
        for connection in crowd:
            connection.close()


def test_a_connection_that_is_being_answered_is_not_the_one_to_go(small_app, served):
    app = small_app()
    server = served(app, connections=2)
    with contextlib.ExitStack() as crowd, server.connect() as first:
        first.sendall(b"GET /v1/held HTTP/1.1\r\nHost: localhost\r\n" + CLOSE + b"\r\n")
        wait_until(server.is_answering)
        for _ in range(10):
            crowd.enter_context(server.connect())
        # Behind the crowd: when this is answered, all of them have come in.
        assert statuses(server.exchange(GET + CLOSE + b"\r\n")) == [200]
        app.state.may_answer.release()
        assert statuses(server.read_all(first)) == [200]


def test_an_answer_that_nobody_reads_is_not_kept(served):
    begun = threading.Event()

    async def talkative(scope, receive, send):
        begun.set()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})

    server = served(talkative, write_seconds=0.2)
    with server.connect() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(LIVE)
        assert begun.wait(LONG)
        wait_until(lambda: not server.connections)


def test_limits_by_default_let_ordinary_clients_through():
    limits = ConnectionLimits(connections=1)
    assert limits.head_bytes >= 16 * 1024
    assert limits.head_seconds >= 5
