"""Steps that fail, one by one: who pays for it, and when the device is given up."""

import pytest

from service.engine.work import EngineState
from service.errors import EngineError


def test_a_step_that_raises_fails_its_asks_and_no_others(bench, tools):
    bench.device.fail(ValueError("shapes"))
    failed = [bench.ask(1, 2, 3), bench.ask(4, 5)]
    fine = bench.ask(6)
    bench.run()
    for one in failed:
        with pytest.raises(EngineError, match="failed to compute"):
            one.future.result(0)
    assert tools.labels(fine) == [6]
    assert bench.heard.counts == {"device": 1}
    assert bench.register.state is EngineState.READY


def test_memory_that_runs_out_costs_nobody_the_answer(bench, tools):
    bench.device.memory = 2
    pending = [bench.ask(value, value) for value in range(3)]
    bench.run()
    assert [tools.labels(one) for one in pending] == [[value, value] for value in range(3)]
    assert [len(step) for step in bench.device.steps] == [4, 2, 2, 2]
    assert bench.heard.counts == {"out_of_memory": 1}


def test_memory_that_runs_out_again_fails_those_asks_and_serving_goes_on(bench, tools):
    failed = bench.ask(1, 2, 3, 4)
    bench.device.fail(tools.OUT_OF_MEMORY, tools.OUT_OF_MEMORY)
    fine = bench.ask(5)
    bench.run()
    with pytest.raises(EngineError, match="no memory"):
        failed.future.result(0)
    assert tools.labels(fine) == [5]
    assert bench.register.state is EngineState.READY


def test_the_device_is_given_up_after_so_many_failures_in_a_row(tools):
    bench = tools.Bench(failures_until_broken=3)
    bench.device.fail(ValueError(), ValueError(), ValueError())
    pending = [bench.ask(*range(4)) for _ in range(5)]
    bench.run()
    assert len(bench.device.steps) == 3
    assert bench.register.state is EngineState.BROKEN
    assert {type(one.future.exception(0)) for one in pending} == {EngineError}
    with pytest.raises(EngineError, match="started again"):
        bench.ask(1)


def test_a_step_that_goes_well_forgives_those_before(tools):
    bench = tools.Bench(failures_until_broken=2)
    for _ in range(3):
        bench.device.fail(ValueError())
        bench.device.before_step.append(None)
    pending = [bench.ask(*range(4)) for _ in range(6)]
    bench.run()
    assert [one.future.exception(0) is None for one in pending] == [False, True] * 3


def test_after_an_error_of_cuda_nothing_is_tried_again(bench, tools):
    bench.device.fail(tools.FATAL)
    pending = [bench.ask(*range(4)) for _ in range(3)]
    bench.run()
    assert len(bench.device.steps) == 1
    assert bench.register.state is EngineState.BROKEN
    assert {type(one.future.exception(0)) for one in pending} == {EngineError}
