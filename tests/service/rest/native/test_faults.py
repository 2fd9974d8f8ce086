"""A device that fails, under the real engine: what a client is told, and that the next one is served."""

import dataclasses
import threading
from typing import ClassVar

import pytest
import torch
from asking.waiting import wait_until

from detector.inspection import Inspection
from service.engine.engine import Engine
from service.engine.work import EngineSettings, EngineState


class Faulty(Inspection):
    """Does in its steps what it is told to, once for each telling."""

    faults: ClassVar = []

    def step(self):
        if self.faults:
            self.faults.pop(0)()
        return super().step()


def raising(error):
    def fault():
        raise error

    return fault


@pytest.fixture
def served(runtime, digits):
    Faulty.faults = []
    settings = EngineSettings(failures_until_broken=3, step_seconds=1.0)
    engine = Engine({"digits": digits.detector}, settings, inspection=Faulty)
    engine.start()
    wait_until(lambda: engine.state is not EngineState.STARTING)
    yield dataclasses.replace(runtime, engine=engine)
    Faulty.faults = []
    engine.close()


def test_a_step_that_raises_costs_its_request_alone(served, make_client, png):
    client = make_client(served)
    Faulty.faults = [raising(ValueError("a defect"))]
    answer = client.post("/v1/detect", files={"files": png})
    assert (answer.status_code, list(answer.json())) == (503, ["error"])
    assert "defect" not in answer.text
    assert client.post("/v1/detect", files={"files": png}).status_code == 200
    assert served.engine.load().n_free == EngineSettings().queue_images


def test_memory_that_is_short_once_costs_nobody_an_answer(served, make_client, digit_pngs):
    Faulty.faults = [raising(torch.OutOfMemoryError("CUDA out of memory"))]
    answer = make_client(served).post("/v1/detect", files=[("files", png) for png in digit_pngs(6)])
    assert [result["decision"] != "undecided" for result in answer.json()["results"]] == [True] * 6


def test_memory_that_stays_short_is_told_and_serving_goes_on(served, make_client, png):
    client = make_client(served)
    Faulty.faults = [raising(MemoryError())] * 2
    assert "memory" in client.post("/v1/detect", files={"files": png}).json()["error"]
    assert client.post("/v1/detect", files={"files": png}).status_code == 200


def test_a_device_that_is_lost_is_neither_live_nor_asked_again(served, make_client, png):
    client = make_client(served)
    Faulty.faults = [raising(RuntimeError("CUDA error: device-side assert triggered"))]
    assert client.post("/v1/detect", files={"files": png}).status_code == 503
    assert not served.engine.is_live
    assert client.post("/v1/detect", files={"files": png}).status_code == 503


def test_a_step_that_hangs_is_a_failed_device_until_it_comes_back(served, make_client, png):
    client, gate = make_client(served), threading.Event()
    Faulty.faults = [gate.wait]
    try:
        # Long beside the step, so that it has begun and is known to hang on a busy machine too.
        assert client.post("/v1/detect?timeout_ms=3000", files={"files": png}).status_code == 503
        assert not served.engine.is_live
    finally:
        gate.set()
    wait_until(lambda: served.engine.is_live)
    assert client.post("/v1/detect", files={"files": png}).status_code == 200
