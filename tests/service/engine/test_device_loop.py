"""Steps, one by one; time stands still unless a test moves it."""

import concurrent.futures
import gc
import weakref

import pytest

from service.engine.work import EngineState, Lane
from service.errors import DeadlineError, EngineError, InputError


def test_asks_that_wait_share_full_steps(bench, tools):
    pending = [bench.ask(value) for value in range(9)]
    bench.run()
    assert [tools.labels(one) for one in pending] == [[value] for value in range(9)]
    assert [len(step) for step in bench.device.steps] == [4, 4, 1]
    assert bench.heard.stepped_images == [4, 4, 1]


def test_an_ask_larger_than_a_step_is_answered_in_order(bench, tools):
    pending = bench.ask(*range(11))
    bench.run()
    assert tools.labels(pending) == list(range(11))


def test_images_in_doubt_stay_in_hand_and_others_take_the_free_places(bench, tools):
    bench.device.doubtful = 100
    slow, fast = bench.ask(200, 201), [bench.ask(value) for value in range(4)]
    assert bench.step()
    assert [one.future.done() for one in (slow, *fast)] == [False, True, True, False, False]
    bench.run()
    assert [len(step) for step in bench.device.steps] == [4, 4, 2, 2]
    assert tools.labels(slow) == [200, 201]


def test_bundles_are_kept_apart(bench, tools):
    of_a, of_b = bench.ask(1, 2), bench.ask(3, 4, bundle="b")
    bench.run()
    assert [len(step) for step in bench.device.steps] == [2, 2]
    assert (tools.labels(of_a), tools.labels(of_b)) == ([1, 2], [3, 4])


def test_an_answer_says_how_long_it_waited_and_was_computed(bench):
    def slowly(_):
        bench.clock.now += 3.0

    bench.device.before_step.extend([slowly, slowly])
    pending = bench.ask(*range(6))
    bench.clock.now += 2.0
    bench.run()
    answer = pending.future.result(0)
    assert (answer.queue_seconds, answer.compute_seconds) == (2.0, 6.0)


def test_nothing_begins_for_a_client_that_has_gone(bench):
    gone, there = bench.ask(1), bench.ask(2)
    gone.cancel()
    gone.cancel()
    bench.run()
    assert [[ticket.job.pending for ticket in step] for step in bench.device.steps] == [[there]]
    assert gone.future.cancelled()
    assert bench.heard.counts == {"cancelled queue": 1}


def test_a_client_that_goes_between_two_steps_is_dropped(bench):
    bench.device.doubtful = 100
    gone, there = bench.ask(200, 201), bench.ask(202)
    bench.step()
    gone.cancel()
    bench.run()
    assert [len(step) for step in bench.device.steps] == [3, 1, 1, 1]
    assert there.future.done()
    assert bench.heard.counts == {"cancelled compute": 2}


def test_a_client_that_goes_while_its_images_are_copied_is_dropped_before_the_step(bench, monkeypatch):
    gone, there = bench.ask(1), bench.ask(2)
    admit = bench.hands["a"].inspection.admit
    monkeypatch.setattr(bench.hands["a"].inspection, "admit", lambda *given: (admit(*given), gone.cancel()))
    bench.run()
    assert [[ticket.job.pending for ticket in step] for step in bench.device.steps] == [[there]]


def test_a_client_that_goes_while_others_are_dropped_is_dropped_as_well(bench, monkeypatch):
    bench.device.doubtful = 100
    first, second, there = bench.ask(200), bench.ask(201), bench.ask(202)
    bench.step()
    inspection = bench.hands["a"].inspection
    drop = inspection.drop
    monkeypatch.setattr(inspection, "drop", lambda tickets: (drop(tickets), second.cancel()))
    first.cancel()
    bench.step()
    assert [ticket.job.pending for ticket in bench.device.steps[-1]] == [there]


def test_no_step_is_taken_when_everybody_has_gone(bench):
    bench.device.doubtful = 100
    pending = bench.ask(200)
    bench.step()
    pending.cancel()
    bench.run()
    assert len(bench.device.steps) == 1
    assert bench.hands["a"].is_idle


def test_cancelling_the_future_itself_is_noticed_too(bench):
    pending = bench.ask(1)
    pending.future.cancel()
    assert concurrent.futures.wait([pending.future], timeout=0).done
    bench.run()
    assert bench.device.steps == []


def test_a_client_that_goes_during_its_last_step_gets_no_answer(bench):
    pending = bench.ask(1)
    bench.device.before_step.append(lambda _: pending.cancel())
    bench.run()
    assert pending.future.cancelled()
    assert bench.heard.counts == {"cancelled compute": 1}


def test_nothing_begins_after_the_deadline(bench):
    late, there = bench.ask(1, after=1.0), bench.ask(2)
    bench.clock.now += 1.0
    bench.run()
    assert [[ticket.job.pending for ticket in step] for step in bench.device.steps] == [[there]]
    with pytest.raises(DeadlineError, match="allow more"):
        late.future.result(0)
    assert bench.heard.counts == {"expired": 1}


def test_what_is_in_hand_at_its_deadline_is_computed_no_further(bench):
    bench.device.doubtful = 100
    late = bench.ask(200, after=1.0)
    bench.step()
    bench.clock.now += 1.0
    bench.run()
    assert len(bench.device.steps) == 1
    assert isinstance(late.future.exception(0), DeadlineError)


def test_images_are_let_go_as_soon_as_nobody_waits(bench):
    pending = bench.ask(*range(5))
    [job] = bench.register.jobs
    pending.cancel()
    assert job.images is None
    assert (bench.register.queue.n_images, bench.register.jobs) == (0, set())


def test_what_has_been_answered_leaves_nothing_behind(bench):
    pending = bench.ask(1, 2)
    future = weakref.ref(pending.future)
    [job] = map(weakref.ref, bench.register.jobs)
    gc.disable()
    try:
        bench.run()
        bench.device.steps.clear()
        assert job() is None
        del pending
        assert future() is None
    finally:
        gc.enable()


def test_the_background_gets_its_step(tools):
    bench = tools.Bench(background_every=3)
    background = bench.ask(*range(4), lane=Lane.BACKGROUND)
    for _ in range(5):
        bench.ask(*range(4))
    for _ in range(3):
        assert not background.future.done()
        bench.step()
    assert background.future.done()


# Calls


def test_a_call_runs_between_steps_with_the_detector(bench):
    pending = bench.call(lambda detector: detector)
    bench.run()
    assert pending.future.result(0) is bench.hands["a"].detector


def test_a_call_takes_its_turn_among_asks(bench):
    order = []
    asks = [bench.ask(*range(4)) for _ in range(2)]
    for one in asks:
        one.future.add_done_callback(lambda _: order.append("ask"))
    bench.call(lambda _: order.append("call"))
    bench.run()
    assert order == ["ask", "ask", "call"]


def test_a_call_that_nobody_waits_for_is_not_made(bench):
    made = []
    bench.call(made.append).cancel()
    late = bench.call(made.append, after=1.0)
    bench.clock.now += 1.0
    bench.run()
    assert made == []
    assert isinstance(late.future.exception(0), DeadlineError)


def test_what_a_call_was_given_wrongly_is_no_failure_of_the_device(tools):
    bench = tools.Bench(failures_until_broken=1)

    def refuse(_):
        raise InputError("no")

    pending = bench.call(refuse)
    bench.run()
    with pytest.raises(InputError, match="no"):
        pending.future.result(0)
    assert bench.register.state is EngineState.READY


def test_a_call_that_fails_counts_as_a_step_that_failed(tools):
    bench = tools.Bench(failures_until_broken=2)

    def fail(_):
        raise ZeroDivisionError

    pending = [bench.call(fail) for _ in range(2)]
    bench.run()
    assert {type(one.future.exception(0)) for one in pending} == {EngineError}
    assert bench.register.state is EngineState.BROKEN
