import math

import pytest

from service.errors import DeadlineError, EngineError


def test_what_waits_ends_at_its_deadline_though_the_device_does_not_move(bench):
    late, there = bench.ask(1, 2, after=1.0), bench.ask(2, after=5.0)
    bench.clock.now += 1.0
    bench.watchdog.look()
    assert isinstance(late.future.exception(0), DeadlineError)
    assert not there.future.done()
    assert bench.heard.counts == {"expired": 2}
    assert bench.register.alarm == bench.clock.now + 4.0


def test_the_alarm_is_for_the_first_deadline(bench):
    bench.watchdog.look()
    assert bench.register.alarm == math.inf
    bench.ask(1, after=5.0)
    bench.ask(1, after=3.0)
    bench.ask(1, after=9.0)
    assert bench.register.alarm == bench.clock.now + 3.0


def test_a_step_that_takes_too_long_is_noticed_once(bench):
    seen = []

    def hang(_):
        for seconds in (59.0, 2.0, 2.0):
            bench.clock.now += seconds
            bench.watchdog.look()
            seen.append(bench.register.is_hung)

    bench.device.before_step.append(hang)
    bench.ask(1)
    assert bench.step()
    assert seen == [False, True, True]
    assert bench.heard.counts == {"hung": 1}
    assert not bench.register.is_hung


def test_a_step_sets_the_alarm_for_its_own_hanging(bench):
    alarms = []
    bench.device.before_step.append(lambda _: alarms.append(bench.register.alarm))
    bench.ask(1)
    bench.step()
    assert alarms == [bench.clock.now + 60.0]


def test_asks_of_a_step_that_hangs_fail_at_their_deadline_through_no_fault_of_theirs(bench):
    def hang(_):
        bench.clock.now += 61.0
        bench.watchdog.look()
        assert not computing.future.done()
        with pytest.raises(EngineError, match="not answered"):
            bench.ask(3)
        bench.clock.now += 40.0
        bench.watchdog.look()

    bench.device.before_step.append(hang)
    computing, waiting = bench.ask(1, 1, 1, 1, after=100.0), bench.ask(2, after=100.0)
    bench.step()
    assert isinstance(computing.future.exception(0), EngineError)
    assert isinstance(waiting.future.exception(0), DeadlineError)
    bench.run()
    assert len(bench.device.steps) == 1
