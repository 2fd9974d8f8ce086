import asyncio
import re
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import uvicorn

from service.rest.guards.connections import ConnectionLimits, guarded_protocol
from service.rest.guards.leaving import Leaving
from service.serving.stopping import EXIT_CUT_SHORT, Server, _close_door, _turn_away
from service.settings import ServeSettings

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Slow:
    """Answers after a moment; counts what it has begun and ended."""

    def __init__(self, seconds=0.0):
        self.seconds = seconds
        self.n_begun = self.n_ended = 0

    async def __call__(self, _scope, _receive, send):
        self.n_begun += 1
        await asyncio.sleep(self.seconds)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})
        self.n_ended += 1


def until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def start():
    threads = []

    def start(app, *, loop="auto", lifespan="off", farewell_seconds=0.5, **settings):
        draining = threading.Event()
        config = uvicorn.Config(
            Leaving(app, draining),
            http=guarded_protocol(ConnectionLimits(connections=1000, farewell_seconds=farewell_seconds)),
            loop=loop,
            lifespan=lifespan,
            ws="none",
            log_config=None,
            timeout_graceful_shutdown=30,
        )
        listening = threading.Event()
        server = Server(config, ServeSettings(**settings), draining, listening.set)
        listener = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        threads.append((server, thread))
        assert listening.wait(30)

        def stop():
            draining.set()
            server.should_exit = True
            thread.join(60)
            assert not thread.is_alive()

        return server, listener.getsockname(), stop

    yield start
    for server, thread in threads:
        server.should_exit = True
        thread.join(60)


def outcome(address):
    """A status, or None where there was no connection; anything else is half an answer."""
    try:
        connection = socket.create_connection(address, timeout=30)
    except ConnectionRefusedError:
        return None
    with connection:
        connection.sendall(REQUEST)
        answer = b""
        while part := connection.recv(4096):
            answer += part
        match = re.match(rb"HTTP/1.1 (\d+) .*ok$", answer, re.DOTALL)
        return int(match[1]) if match else answer


@pytest.mark.parametrize("loop", ["asyncio", "auto"])
def test_whoever_gets_a_connection_gets_an_answer_however_late_it_came(start, loop):
    app = Slow(0.01)
    # Clients in threads beside each other may be late with their request.
    server, address, stop = start(app, loop=loop, farewell_seconds=10.0)
    server._draining.set()  # answers close their connections: each request makes a new one

    def send():
        outcomes = []
        while not outcomes or outcomes[-1] is not None:
            outcomes.append(outcome(address))
        return outcomes

    with ThreadPoolExecutor(12) as pool:
        senders = [pool.submit(send) for _ in range(12)]
        try:
            until(lambda: app.n_ended > 24)
        finally:
            stop()
        outcomes = [one for sender in senders for one in sender.result()]
    assert set(outcomes) == {200, None}
    assert app.n_begun == app.n_ended == outcomes.count(200) > 12
    assert not server.is_cut_short


def test_a_request_on_its_way_when_the_server_stops_is_still_answered(start):
    # The rest must come before the farewell is over, however busy the machine is.
    server, address, stop = start(Slow(), farewell_seconds=3.0)
    with (
        socket.create_connection(address, timeout=30) as begun,
        socket.create_connection(address, timeout=30) as silent,
    ):
        begun.sendall(REQUEST[:10])
        until(lambda: len(server.server_state.connections) == 2)
        stopping = threading.Thread(target=stop)
        stopping.start()
        until(server._last_resort.is_alive)  # it has begun to stop
        time.sleep(0.2)
        begun.sendall(REQUEST[10:])
        answer = begun.recv(4096)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer
        assert silent.recv(4096) == b""
        stopping.join()


def test_what_takes_too_long_is_cut_short_and_that_is_known(monkeypatch, start):
    # It would be the end of this process.
    monkeypatch.setattr("service.serving.stopping.LAST_RESORT_SECONDS", 60.0)
    app = Slow(60)
    server, address, stop = start(app, shutdown_seconds=0.1)
    server.config.timeout_graceful_shutdown = 1
    with socket.create_connection(address, timeout=30) as waiting:
        waiting.sendall(REQUEST)
        until(lambda: app.n_begun)
        stop()
    assert server.is_cut_short
    server._last_resort.join(30)  # the server has ended, and the process may go on
    assert not server._last_resort.is_alive()
    assert (app.n_begun, app.n_ended) == (1, 0)


def test_a_signal_begins_to_drain_and_only_after_that_time_nothing_more_is_accepted():
    draining = threading.Event()

    async def main():
        config = uvicorn.Config(Slow(), lifespan="off", log_config=None)
        server = Server(config, ServeSettings(drain_seconds=1.0), draining, lambda: None)
        with server.capture_signals():
            began = time.monotonic()
            # This thread gets it, and before the next line.
            signal.raise_signal(signal.SIGTERM)
            # The loop takes a turn to see it, a turn to read which it was, and a turn to act.
            for _ in range(3):
                await asyncio.sleep(0)
            assert (draining.is_set(), server.should_exit) == (True, False)
            while not server.should_exit:
                await asyncio.sleep(0.01)
            return time.monotonic() - began

    before = signal.getsignal(signal.SIGTERM)
    assert asyncio.run(main()) >= 0.99
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_thread_that_does_not_end_does_not_keep_the_process(monkeypatch, start):
    codes = []
    monkeypatch.setattr("service.serving.stopping.os._exit", codes.append)
    monkeypatch.setattr("service.serving.stopping.LAST_RESORT_SECONDS", 0.1)

    async def stuck(scope, receive, send):
        assert scope["type"] == "lifespan"
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        while not codes:
            await asyncio.sleep(0.01)
        await send({"type": "lifespan.shutdown.complete"})

    _, _, stop = start(stuck, lifespan="on", shutdown_seconds=0.1)
    stop()
    assert codes == [EXIT_CUT_SHORT]


def test_a_second_signal_ends_the_process_at_once(monkeypatch):
    codes = []
    monkeypatch.setattr("service.serving.stopping.os._exit", codes.append)

    async def main():
        draining = threading.Event()
        server = Server(uvicorn.Config(Slow(), log_config=None), ServeSettings(drain_seconds=60), draining, print)
        server.stop(signal.SIGINT)
        assert (codes, draining.is_set()) == ([], True)
        server.stop(signal.SIGTERM)

    asyncio.run(main())
    assert codes == [128 + signal.SIGTERM]


@pytest.mark.skipif(sys.platform != "linux", reason="there is no such filter")
def test_who_has_come_is_let_in_and_who_comes_while_the_door_closes_gets_no_connection():
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as early:
        _turn_away(listener)
        with pytest.raises(TimeoutError):
            socket.create_connection(listener.getsockname(), timeout=0.2)
        [taken] = _close_door(listener)
        with taken:
            early.sendall(b"hello")
            assert taken.recv(5) == b"hello"
            taken.sendall(b"you")
            assert early.recv(3) == b"you"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(listener.getsockname(), timeout=30)
