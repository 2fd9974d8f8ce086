"""Over real sockets: bodies that never end, are not wanted, or are followed by something else."""

import time

import pytest
from asking.raw_requests import CHUNKED, CLOSE, DEAF, GET, LIVE, LONG, POST, statuses
from asking.waiting import wait_until

from service.rest.guards.connections import GuardedProtocol


def test_what_trails_a_body_does_not_become_a_header(small_app, served):
    trailer = b"0\r\nX-Late: too late\r\nHost: evil.example\r\nAuthorization: Bearer x\r\n\r\n"
    answer = served(small_app()).exchange(POST + CLOSE + CHUNKED + b"1\r\na\r\n" + trailer)
    assert statuses(answer) == [200]
    assert b"late" not in answer.lower()
    assert b"evil" not in answer


@pytest.mark.parametrize(
    "flood",
    [
        b"1;" + b"x" * 1000 + b"\r\na\r\n",
        b"1\r\na\r\n",
    ],
    ids=["extensions", "tiny chunks"],
)
def test_a_flood_of_chunks_ends(small_app, served, flood):
    server = served(small_app(), chunks=1000)
    answer = server.exchange(POST + CHUNKED + flood * 20_000)
    assert statuses(answer) in ([400], []), answer[:100]
    assert statuses(server.exchange(GET + CLOSE + b"\r\n")) == [200]


def test_a_trailer_that_never_ends_is_not_kept(small_app, served):
    server = served(small_app())
    answer = server.exchange(POST + CHUNKED + b"0\r\nA: " + b"a" * 10**6)
    assert statuses(answer) == [400]


def test_chunks_of_a_sensible_size_are_none(small_app, served):
    answer = served(small_app(), chunks=10).exchange(
        POST
        + CLOSE
        + CHUNKED
        + b"200\r\n"
        + b"a" * 512
        + b"\r\n"
        + (b"100\r\n" + b"a" * 256 + b"\r\n") * 500
        + b"0\r\n\r\n"
    )
    assert statuses(answer) == [200]


def test_a_refusal_reaches_a_client_that_still_sends(small_app, served):
    server = served(small_app(body_bytes=1000))
    for number, framing in enumerate((CLOSE, b""), start=1):
        with server.connect() as connection:
            connection.sendall(POST + framing + b"Content-Length: 50000000\r\n\r\n")
            wait_until(lambda number=number: server.server.server_state.total_requests == number)
            for _ in range(50):
                connection.sendall(b"x" * 100_000)
            assert server.read_status(connection) == 413


def test_but_is_not_listened_to_for_ever(small_app, served):
    server = served(small_app(body_bytes=1000), linger_seconds=0.2)
    began = time.monotonic()
    with server.connect() as connection, pytest.raises(ConnectionError):
        connection.sendall(POST + b"Content-Length: 50000000\r\n\r\n")
        while time.monotonic() - began < LONG:
            connection.sendall(b"x")
            time.sleep(0.02)


def test_a_body_that_nobody_read_does_not_become_the_next_request(small_app, served):
    answer = served(small_app()).exchange(
        DEAF + b"Content-Length: %d\r\n\r\n" % len(LIVE) + LIVE + GET + CLOSE + b"\r\n"
    )
    assert statuses(answer) == [200, 200]
    assert b"live" not in answer


def test_a_connection_goes_on_after_a_body_that_was_refused_and_read_to_its_end(small_app, served):
    server = served(small_app(body_bytes=1000))
    with server.connect() as connection:
        connection.sendall(POST + b"Content-Length: 2000\r\n\r\n" + b"x" * 100)
        assert server.read_status(connection) == 413
        connection.sendall(b"x" * 1900)
        connection.sendall(GET + CLOSE + b"\r\n")
        assert server.read_status(connection) == 200
        assert server.read_all(connection) == b""


def test_and_is_closed_after_a_while_like_any_other(small_app, served):
    server = served(small_app(body_bytes=1000), keep_alive=1)
    with server.connect() as connection:
        connection.sendall(POST + b"Content-Length: 2000\r\n\r\n" + b"x" * 100)
        assert server.read_status(connection) == 413
        connection.sendall(b"x" * 1900)
        assert server.read_all(connection) == b""


def test_what_is_waited_for_is_waited_for_as_long_as_its_own_limit_says(small_app, served, monkeypatch):
    waits, arm = set(), GuardedProtocol._arm

    def listening(self, timer, seconds, action):
        waits.add((timer.value, seconds))
        arm(self, timer, seconds, action)

    monkeypatch.setattr(GuardedProtocol, "_arm", listening)
    server = served(small_app(body_bytes=1000), head_seconds=601.0, linger_seconds=602.0, write_seconds=603.0)
    with server.connect() as connection:
        connection.sendall(POST + b"Content-Length: 2000\r\n\r\n" + b"x" * 100)
        assert server.read_status(connection) == 413
        connection.sendall(b"x" * 1900 + GET + CLOSE + b"\r\n")
        assert statuses(server.read_all(connection)) == [200]
    assert waits == {("head", 601.0), ("linger", 602.0), ("write", 603.0)}


def test_a_slow_body_is_answered_and_closed(small_app, served):
    server = served(small_app(body_seconds=0.2))
    answer = server.exchange(POST + b"Content-Length: 10\r\n\r\nabc")
    assert statuses(answer) == [408]


def test_a_client_that_announces_a_body_is_told_to_send_it_only_if_it_is_wanted(small_app, served):
    server = served(small_app(body_bytes=10))
    expect = b"Expect: 100-continue\r\n"
    assert statuses(server.exchange(POST + CLOSE + expect + b"Content-Length: 3\r\n\r\nabc")) == [100, 200]
    with server.connect() as connection:
        connection.sendall(POST + expect + b"Content-Length: 30\r\n\r\n")
        assert server.read_status(connection) == 413
