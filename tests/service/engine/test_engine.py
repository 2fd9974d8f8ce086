"""The engine with its threads."""

import asyncio
import concurrent.futures
import threading
import time

import pytest
import torch

from detector.types import ImageError
from service.engine.engine import Engine
from service.engine.waiting import answered
from service.engine.work import EngineSettings, EngineState, Lane
from service.errors import DeadlineError, EngineError, NotFoundError, OverloadedError, TooLargeError

SOON = 60.0
"""Seconds: far more than a busy machine needs."""


class Served:
    """A running engine over a fake device."""

    def __init__(self, tools, **settings):
        self.device, self.heard = tools.Device(), tools.Heard()
        self.make_ask = tools.make_ask
        self.engine = Engine(
            {"a": tools.fake_detector(), "b": tools.fake_detector()},
            EngineSettings(**settings),
            self.heard,
            inspection=self.device.make,
        )

    def submit(self, *values, seconds=SOON, **options):
        return self.engine.submit(self.make_ask(values, deadline=time.monotonic() + seconds, **options))

    def start(self):
        self.engine.start()
        wait_until(lambda: self.engine.state is not EngineState.STARTING)
        self.device.steps.clear()
        self.heard.counts.clear()
        return self


def wait_until(holds):
    until = time.monotonic() + SOON
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.001)


@pytest.fixture
def serve(tools):
    started = []

    def serve(**settings):
        started.append(Served(tools, **settings))
        return started[-1]

    yield serve
    for served in started:
        served.engine.close()


@pytest.fixture
def gate(serve):
    """An engine whose device is in a step that ends when `open` is set."""
    served = serve(queue_images=8).start()
    served.open = threading.Event()
    served.entered = threading.Event()

    def hold(_):
        served.entered.set()
        assert served.open.wait(SOON)

    served.device.before_step.append(hold)
    served.first = served.submit(1)
    assert served.entered.wait(SOON)
    yield served
    served.open.set()


def test_it_is_ready_once_it_has_warmed_up(serve):
    served = serve()
    hold, entered = threading.Event(), threading.Event()
    served.device.before_step.append(lambda _: (entered.set(), hold.wait(SOON)))
    assert (served.engine.state, served.engine.is_ready, served.engine.is_live) == (EngineState.STARTING, False, True)
    served.engine.start()
    assert entered.wait(SOON)
    early = served.submit(3)
    assert (served.engine.state, served.engine.is_ready) == (EngineState.STARTING, False)
    hold.set()
    assert early.future.result(SOON).verdicts[0].label == 3
    assert (served.engine.state, served.engine.is_ready, served.engine.is_live) == (EngineState.READY, True, True)


def test_a_lone_ask_starts_at_once(serve):
    served = serve().start()
    seconds = []
    for value in range(50):
        answer = served.submit(value).future.result(SOON)
        assert answer.verdicts[0].label == value
        seconds.append(answer.queue_seconds)
    # The fastest: a machine with much else to do wakes threads late, a loop that polls would never be fast.
    assert min(seconds) < 0.005


def test_asks_from_many_threads_each_get_their_own_answer(serve):
    served = serve().start()

    def ask(value):
        answer = served.submit(value, 255 - value, bundle="ab"[value % 2]).future.result(SOON)
        return [verdict.label for verdict in answer.verdicts]

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(200))) == [[value, 255 - value] for value in range(200)]


def test_what_waits_while_a_step_runs_is_one_step_afterwards(gate):
    waiting = [gate.submit(value) for value in range(4)]
    gate.open.set()
    for one in waiting:
        one.future.result(SOON)
    assert [len(step) for step in gate.device.steps] == [1, 4]


def test_the_load_says_what_waits_and_what_is_computed(gate):
    waiting = [gate.submit(1, 2, 3), gate.engine.call("a", lambda _: None, deadline=time.monotonic() + SOON)]
    with gate.engine.permit(5):
        load = gate.engine.load()
    assert (load.n_queued, load.n_computing, load.n_free) == (4, 1, 3)
    gate.open.set()
    for one in waiting:
        one.future.result(SOON)
    wait_until(lambda: gate.engine.load().images_per_second > 0)


def test_a_hung_step_is_not_live_and_its_ask_fails_at_its_deadline(serve):
    served = serve(step_seconds=0.2).start()
    release = threading.Event()
    served.device.before_step.append(lambda _: release.wait(SOON))
    stuck = served.submit(1, seconds=2.0)
    wait_until(lambda: not served.engine.is_live)
    assert not served.engine.is_ready
    with pytest.raises(EngineError, match="not answered"):
        served.engine.permit()
    with pytest.raises(EngineError, match="did not answer in time"):
        stuck.future.result(SOON)
    assert served.heard.counts["hung"] == 1
    release.set()
    wait_until(lambda: served.engine.is_live)
    assert served.submit(2).future.result(SOON).verdicts[0].label == 2


def test_a_deadline_is_kept_while_the_device_is_busy(gate):
    late = gate.submit(1, seconds=0.01)
    assert isinstance(late.future.exception(SOON), DeadlineError)
    assert not gate.open.is_set()


def test_places_bound_what_is_in(serve):
    engine = serve(queue_images=4).start().engine
    with engine.permit(3) as permit:
        with pytest.raises(OverloadedError):
            engine.permit(2)
        permit.grow(4)
    with pytest.raises(TooLargeError):
        engine.permit(5)
    assert engine.load().n_free == 4


def test_draining_answers_what_was_accepted_and_accepts_no_more(serve):
    served = serve().start()
    pending = [served.submit(value) for value in range(20)]
    assert served.engine.drain(SOON)
    assert all(one.future.done() for one in pending)
    assert (served.engine.state, served.engine.is_ready, served.engine.is_live) == (EngineState.DRAINING, False, True)
    for refused in (lambda: served.submit(1), served.engine.permit, lambda: served.submit(1, lane=Lane.BACKGROUND)):
        with pytest.raises(EngineError, match="going down"):
            refused()


def test_who_has_a_permit_may_still_submit_while_draining(serve):
    served = serve().start()
    permit = served.engine.permit()
    drained = []
    thread = threading.Thread(target=lambda: drained.append(served.engine.drain(SOON)))
    thread.start()
    wait_until(lambda: served.engine.state is EngineState.DRAINING)
    with pytest.raises(EngineError):
        served.engine.permit()
    with permit:
        assert served.submit(5).future.result(SOON).verdicts[0].label == 5
    thread.join(SOON)
    assert drained == [True]


def test_draining_does_not_wait_for_ever(gate):
    assert not gate.engine.drain(0.01)


def test_closing_fails_what_has_no_answer(gate):
    waiting = gate.submit(2)
    # The step goes on until its ask has ended, and comes too late for it.
    gate.first.future.add_done_callback(lambda _: gate.open.set())
    gate.engine.close()
    for one in (gate.first, waiting):
        with pytest.raises(EngineError, match="stopped"):
            one.future.result(SOON)
    assert gate.engine.state is EngineState.STOPPED
    with pytest.raises(EngineError, match="stopped"):
        gate.submit(3)


def test_an_engine_that_was_not_started_keeps_nobody_waiting(serve):
    served = serve()
    with pytest.raises(EngineError, match="not been started"):
        served.submit(1)


def test_no_images_need_no_step(serve):
    assert serve().start().submit().future.result(0).verdicts == ()


def test_what_could_harm_others_is_refused(serve, tools):
    served = serve().start()
    with pytest.raises(NotFoundError, match="served are a, b"):
        served.submit(1, bundle="c")
    with pytest.raises(NotFoundError):
        served.engine.call("c", lambda _: None, deadline=0.0)
    for images in (torch.zeros(1, 3, 1, 1, dtype=torch.uint8), torch.zeros(1, 1, 1, 1, dtype=torch.float64)):
        ask = tools.make_ask()
        object.__setattr__(ask, "images", images)
        with pytest.raises(ImageError, match="the classifier takes"):
            served.engine.submit(ask)


def test_clients_that_leave_and_clients_that_stay(serve):
    """Half of many coroutines go away in the middle; the others are answered, and nothing is left."""
    served = serve().start()

    async def client(value):
        gone = asyncio.sleep(0.0005 * (value % 7)) if value % 2 else None
        pending = served.submit(value % 256)
        return await answered(pending, deadline=time.monotonic() + SOON, gone=gone)

    async def scenario():
        return await asyncio.gather(*(client(value) for value in range(300)), return_exceptions=True)

    answers = asyncio.run(scenario())
    assert [answer.verdicts[0].label for answer in answers[::2]] == [value % 256 for value in range(0, 300, 2)]
    wait_until(lambda: served.engine.load().n_computing == 0)
    assert served.engine.load().n_queued == 0
