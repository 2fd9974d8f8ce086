"""The queue that events wait in, over a judge that takes its time."""

import threading
import time
from types import SimpleNamespace

import pytest
from asking.waiting import wait_for

from service.audits.background import EngineStoppedError
from service.errors import EngineError, OverloadedError
from service.rest.events import sink as event_sink
from service.rest.events.sink import EventSink, QueuedEvent


class SlowJudge:
    """Holds each chunk until it is told to go on."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.finished: list[str] = []

    def begin(self, _chunk):
        return None

    def finish(self, chunk, _pending, check):
        while not self.go.wait(0.01):
            check(0.0)
        self.finished.append(chunk.request_id)


@pytest.fixture
def slow_sink(client):
    runtime = client.app.state.runtime
    judge = SlowJudge()
    outcomes: list[str] = []
    parts = SimpleNamespace(
        audits=SimpleNamespace(judge=judge),
        settings=runtime.settings,
        observability=SimpleNamespace(event=outcomes.append),
    )
    sink = EventSink(parts)
    sink.start()
    sink.outcomes = outcomes
    yield sink, judge, runtime.bundle(None)
    judge.go.set()
    sink.close(30.0)


def event_of(bundle, digit, name: str, n_bytes: int = 10) -> QueuedEvent:
    return QueuedEvent(bundle=bundle, request_id=name, key_id="a", images=[digit(0)], n_bytes=n_bytes)


def test_the_queue_is_bounded_in_events_and_in_bytes(slow_sink, digit, monkeypatch) -> None:
    sink, judge, bundle = slow_sink
    monkeypatch.setattr(event_sink, "MOST_EVENTS", 5)
    taken = 0
    with pytest.raises(OverloadedError):
        for index in range(50):
            sink.offer(event_of(bundle, digit, str(index)))
            taken += 1
            time.sleep(0.005)
    assert 5 <= taken <= 5 + event_sink.UNDER_WAY
    judge.go.set()
    wait_for(judge.finished, taken)
    assert judge.finished == [str(index) for index in range(taken)]
    judge.go.clear()
    monkeypatch.setattr(event_sink, "MOST_BYTES", 100)
    sink.offer(event_of(bundle, digit, "large", 1000))
    with pytest.raises(OverloadedError):
        for _ in range(50):
            sink.offer(event_of(bundle, digit, "more", 60))


def test_closing_judges_what_waits_as_far_as_the_time_allows(slow_sink, digit) -> None:
    sink, judge, bundle = slow_sink
    for index in range(4):
        sink.offer(event_of(bundle, digit, str(index)))
    threading.Timer(0.05, judge.go.set).start()
    sink.close(30.0)
    assert judge.finished == ["0", "1", "2", "3"]
    assert sink.outcomes == ["judged"] * 4
    with pytest.raises(OverloadedError):
        sink.offer(event_of(bundle, digit, "late"))


def test_closing_ends_in_time_where_the_device_does_not_answer(slow_sink, digit) -> None:
    sink, judge, bundle = slow_sink
    for _ in range(12):
        sink.offer(event_of(bundle, digit, "never"))
    started = time.monotonic()
    sink.close(0.1)
    assert time.monotonic() - started < 30
    assert (judge.finished, sink.outcomes) == ([], ["failed"] * 12)


def test_an_engine_that_stopped_ends_the_sink_which_refuses_from_then_on(slow_sink, digit) -> None:
    sink, judge, bundle = slow_sink

    def stopped(*_):
        raise EngineStoppedError

    judge.finish = stopped
    sink.offer(event_of(bundle, digit, "last"))
    wait_for(sink.outcomes, 1)
    with pytest.raises(OverloadedError):
        sink.offer(event_of(bundle, digit, "late"))
    assert sink.outcomes == ["failed"]


def test_one_event_that_the_engine_raises_for_does_not_end_the_others(slow_sink, digit, monkeypatch) -> None:
    sink, judge, bundle = slow_sink

    def begin(chunk):
        if chunk.request_id == "bad":
            raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(judge, "begin", begin)
    judge.go.set()
    for name in ("bad", "good"):
        sink.offer(event_of(bundle, digit, name))
    wait_for(judge.finished, 1)
    sink.close(30.0)
    assert (judge.finished, sorted(sink.outcomes)) == (["good"], ["failed", "judged"])


def test_one_event_that_fails_does_not_end_the_others(slow_sink, digit) -> None:
    sink, judge, bundle = slow_sink
    judge.go.set()
    finish, failures = judge.finish, [EngineError("no memory"), RuntimeError("ours")]

    def failing(*arguments):
        if failures:
            raise failures.pop(0)
        finish(*arguments)

    judge.finish = failing
    for index in range(3):
        sink.offer(event_of(bundle, digit, str(index)))
    assert wait_for(sink.outcomes, 3) == ["failed", "failed", "judged"]
