"""The routes of the Open Inference Protocol on an engine that answers at once, or fails as it is told."""

import concurrent.futures
import json
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI

from detector.types import to_pixels
from service.engine.permits import Permits
from service.engine.work import Answer, Ask, EngineState, Pending, Priority
from service.errors import EngineError
from service.rest.failures import HANDLERS, Failures
from service.rest.oip import routes as oip
from service.rest.schemas import EXAMPLE_IMAGE
from service.runtime import Runtime, ServedBundle
from service.settings import ServeSettings

IMAGE = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [EXAMPLE_IMAGE]}


class InstantEngine:
    """Judges in the caller's thread and remembers what it was asked."""

    def __init__(self, detector: Any) -> None:
        self.detector = detector
        self.permits = Permits(8)
        self.asks: list[Ask] = []
        self.state = EngineState.READY
        self.failure: Exception | None = None

    @property
    def is_ready(self) -> bool:
        return self.state is EngineState.READY

    def permit(self, n_images: int = 1, key_id: str | None = None) -> Any:
        return self.permits.take(n_images, key_id)

    def submit(self, ask: Ask) -> Pending[Answer]:
        self.asks.append(ask)
        pending: Pending[Answer] = Pending(lambda _: None)
        if self.failure is not None:
            pending.future.set_exception(self.failure)
            return pending
        images = ask.images if ask.images.is_floating_point() else to_pixels(ask.images)
        verdicts = self.detector.inspect(images, false_positive_rate=ask.false_positive_rate)
        pending.future.set_result(Answer(verdicts=tuple(verdicts), queue_seconds=0.0, compute_seconds=0.0))
        return pending


@pytest.fixture
def engine(digits: ServedBundle) -> InstantEngine:
    return InstantEngine(digits.detector)


@pytest.fixture
def client(digits: ServedBundle, engine: InstantEngine, in_process: Any) -> Iterator[Any]:
    app = FastAPI(exception_handlers=dict(HANDLERS))
    app.include_router(oip.router)
    app.add_middleware(Failures)
    with concurrent.futures.ThreadPoolExecutor(1) as decoders:
        app.state.runtime = Runtime(
            settings=ServeSettings(files=8),
            bundles={"digits": digits},
            engine=engine,
            decoders=decoders,
            observability=types.SimpleNamespace(judged=lambda **_: None),
            audits=None,
        )
        yield in_process(app)


def infer(client: Any, **changes: Any) -> Any:
    return client.post("/v2/models/digits/infer", content=json.dumps({"inputs": [IMAGE], **changes}))


def test_an_answer_has_every_output_and_the_requests_id(client: Any, digits: ServedBundle) -> None:
    answer = infer(client, id="\ud800 é")
    assert answer.status_code == 200
    body = answer.json()
    assert (body["model_name"], body["model_version"], body["id"]) == ("digits", "1", "\ud800 é")
    assert body["parameters"] == {"bundle_digest": digits.digest, "false_positive_rate": 0.05}
    assert [(output["name"], output["shape"]) for output in body["outputs"]] == [(name, [1]) for name in oip.OUTPUTS]


def test_options_reach_the_engine(client: Any, engine: InstantEngine) -> None:
    parameters = {"priority": 7, "false_positive_rate": 0.2}
    answer = infer(client, parameters=parameters)
    assert answer.json()["parameters"]["false_positive_rate"] == 0.2
    [ask] = engine.asks
    assert (ask.priority, ask.false_positive_rate) == (Priority.LOW, 0.2)


def test_raw_outputs_stand_behind_the_length_that_the_header_says(client: Any) -> None:
    answer = infer(client, outputs=[{"name": "label", "parameters": {"binary_data": True}}])
    assert answer.headers["content-type"] == "application/octet-stream"
    length = int(answer.headers["Inference-Header-Content-Length"])
    assert json.loads(answer.content[:length])["outputs"][0]["parameters"] == {"binary_data_size": 8}
    assert len(answer.content) == length + 8


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_long_answers_are_compressed_for_who_takes_it(client: Any, coding: str) -> None:
    images = {**IMAGE, "shape": [8], "data": [EXAMPLE_IMAGE] * 8}
    plain = client.post("/v2/models/digits/infer", json={"inputs": [images]}, headers={"Accept-Encoding": "identity"})
    answer = client.post("/v2/models/digits/infer", json={"inputs": [images]}, headers={"Accept-Encoding": coding})
    assert answer.headers["content-encoding"] == coding
    assert answer.json() == plain.json()
    assert "content-encoding" not in plain.headers


def test_a_long_body_is_taken_apart_in_the_decoding_threads_and_answered_alike(client: Any) -> None:
    assert infer(client, ballast="x" * oip.READ_AT_ONCE).json() == infer(client).json()


def test_what_cannot_be_judged_is_adversarial_and_without_numbers(client: Any) -> None:
    raw = np.full((1, 1, 8, 8), np.nan, "<f4").tobytes()
    tensor = {"name": "pixels", "shape": [1, 1, 8, 8], "datatype": "FP32", "parameters": {"binary_data_size": len(raw)}}
    text = json.dumps({"inputs": [tensor]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(text))}
    answer = client.post("/v2/models/digits/infer", content=text + raw, headers=headers)
    outputs = {output["name"]: output["data"] for output in answer.json()["outputs"]}
    assert outputs["is_adversarial"] == [True]
    assert outputs["verdict"] == ["undecided"]
    assert outputs["p_value"] == outputs["instance_score"] == [None]


def test_an_undecodable_image_is_an_error_of_the_whole_request(client: Any) -> None:
    images = {**IMAGE, "shape": [2], "data": [EXAMPLE_IMAGE, "aGk="]}
    answer = infer(client, inputs=[images])
    assert answer.status_code == 400
    assert "element 1 of tensor 'image'" in answer.json()["error"]


def test_pixels_outside_of_the_range_are_refused(client: Any) -> None:
    for value in (1.5, -0.1):
        tensor = {"name": "pixels", "shape": [1, 1, 8, 8], "datatype": "FP32", "data": [value] * 64}
        assert infer(client, inputs=[tensor]).status_code == 400


def test_two_lengths_of_the_json_are_none(client: Any) -> None:
    headers = [("Inference-Header-Content-Length", "14"), ("Inference-Header-Content-Length", "13")]
    answer = client.post("/v2/models/digits/infer", content=b'{"inputs": []}', headers=headers)
    assert "Inference-Header-Content-Length" in answer.json()["error"]


def test_too_many_images_are_too_large(client: Any, engine: InstantEngine) -> None:
    answer = infer(client, inputs=[{**IMAGE, "shape": [9], "data": [EXAMPLE_IMAGE] * 9}])
    assert answer.status_code == 413
    assert engine.asks == []


def test_places_are_given_back_however_a_request_ends(client: Any, engine: InstantEngine) -> None:
    infer(client)
    infer(client, inputs=[])
    engine.failure = EngineError("the device has failed")
    failed = infer(client)
    assert (failed.status_code, failed.json()) == (503, {"error": "the device has failed"})
    assert engine.permits.n_taken == 0


def test_without_a_free_place_nothing_is_read(client: Any, engine: InstantEngine) -> None:
    with engine.permits.take(8):
        answer = client.post("/v2/models/digits/infer", content=b"not even JSON")
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1


def test_a_model_is_ready_while_the_engine_is(client: Any, engine: InstantEngine) -> None:
    for path in ("/v2/models/digits/ready", "/v2/models/digits/versions/1/ready"):
        assert client.get(path).json() == {"name": "digits", "ready": True}
    engine.state = EngineState.STARTING
    answer = client.get("/v2/models/digits/ready")
    assert answer.status_code == 503
    assert "starting" in answer.json()["error"]


def test_no_model_is_ready_once_the_server_was_told_to_stop(client: Any) -> None:
    client.app.state.runtime.draining.set()
    answer = client.get("/v2/models/digits/ready")
    assert answer.status_code == 503
    assert "draining" in answer.json()["error"]


def test_models_have_one_version(client: Any) -> None:
    assert client.get("/v2/models").json() == {"models": ["digits"]}
    assert client.get("/v2/models/digits/versions/1").json() == client.get("/v2/models/digits").json()
    for path in ("/v2/models/digits/versions/2", "/v2/models/digits/versions/1.0/ready"):
        answer = client.get(path)
        assert (answer.status_code, list(answer.json())) == (404, ["error"])


def test_the_documented_examples_are_answered(client: Any) -> None:
    body = client.get("/openapi.json").json()["paths"]["/v2/models/{model_name}/infer"]["post"]["requestBody"]
    [example] = body["content"]["application/json"]["schema"]["examples"]
    answer = client.post("/v2/models/digits/infer", json=example)
    assert answer.status_code == 200
    assert [output["name"] for output in answer.json()["outputs"]] == ["verdict", "p_value"]
    assert answer.json()["id"] == "42"
