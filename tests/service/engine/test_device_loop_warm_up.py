"""What is computed before the first ask: time stands still unless a test moves it."""

import threading

import pytest

from service.engine.work import EngineState


def test_every_detector_judges_a_full_batch_and_a_single_image_first(tools):
    bench = tools.Bench()
    with bench.register.lock:
        bench.register.state = EngineState.STARTING
    bench.loop.warm_up()
    assert [len(step) for step in bench.device.steps] == [4, 1, 4, 1]
    assert bench.register.state is EngineState.READY


def test_warming_up_finds_the_steps_that_fit(tools):
    bench = tools.Bench()
    bench.device.memory = 1
    bench.loop.warm_up()
    assert [hand.limit for hand in bench.hands.values()] == [1, 1]
    pending = bench.ask(*range(3))
    bench.run()
    assert tools.labels(pending) == [0, 1, 2]


@pytest.mark.parametrize("memory", [0, 10])
def test_a_device_that_cannot_warm_up_is_broken(tools, memory):
    bench = tools.Bench()
    bench.device.memory = memory
    bench.device.fail(ValueError())
    thread = threading.Thread(target=bench.loop.run)
    thread.start()
    thread.join(60.0)
    assert not thread.is_alive()
    assert bench.register.state is EngineState.BROKEN
