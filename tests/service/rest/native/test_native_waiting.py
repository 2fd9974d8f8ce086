"""Requests that wait for the engine: together, in vain, or until their client leaves."""

import asyncio
import concurrent.futures
import threading

import httpx
import pytest
from asking.forms import error_of, files

from service.errors import EngineError, OverloadedError
from service.rest.native import body


@pytest.mark.usefixtures("released_once")
class TestDetect:
    def test_failures_of_the_engine_have_their_status(self, client, runtime, png):
        runtime.engine.error = EngineError("no memory")
        assert client.post("/v1/detect", files=files(png)).status_code == 503
        runtime.engine.error = RuntimeError("secret")
        response = client.post("/v1/detect", files=files(png))
        assert response.status_code == 500
        assert "secret" not in error_of(response)

    def test_a_request_past_its_time_is_told_so(self, client, runtime, png):
        runtime.engine.holds = True
        assert client.post("/v1/detect?timeout_ms=30", files=files(png)).status_code == 504
        assert runtime.engine.cancelled == runtime.engine.held

    def test_without_a_place_the_body_is_not_read(self, make_app, runtime, run):
        async def receive():
            raise AssertionError("the body was read")

        with runtime.engine.permit(64):
            assert run(status_of(make_app(runtime), receive)) == 429

    def test_a_client_that_leaves_before_its_body_has_come_costs_nothing(self, make_app, runtime, run):
        async def receive():
            return {"type": "http.disconnect"}

        assert run(status_of(make_app(runtime), receive)) == 499
        assert not runtime.engine.asks

    def test_a_client_that_leaves_while_the_engine_works_cancels_its_images(self, make_app, runtime, run, png):
        runtime.engine.holds = True
        messages = [{"type": "http.request", "body": png, "more_body": False}]

        async def receive():
            if messages:
                return messages.pop()
            while not runtime.engine.held:
                await asyncio.sleep(0.001)
            return {"type": "http.disconnect"}

        assert run(status_of(make_app(runtime), receive)) == 499
        assert runtime.engine.cancelled == runtime.engine.held

    def test_an_overloaded_engine_says_when_to_come_again(self, client, runtime, png):
        runtime.engine.error = OverloadedError("full", retry_after=3.0)
        response = client.post("/v1/detect", files=files(png))
        assert (response.status_code, response.headers["retry-after"]) == (429, "3")


@pytest.mark.parametrize(("has_gone", "seconds", "status"), [(True, 60.0, 499), (False, 0.05, 504)])
def test_nobody_takes_a_body_apart_that_nobody_waits_for(
    make_app, make_runtime, run, monkeypatch, has_gone, seconds, status
):
    taken_apart = []
    monkeypatch.setattr(body, "take_apart", lambda *_: taken_apart.append(1))
    runtime = make_runtime(longest_request_seconds=seconds)
    messages = [{"type": "http.request", "body": bytes(300_000), "more_body": False}]

    async def receive():
        if not messages and not has_gone:
            await asyncio.Event().wait()
        return messages.pop() if messages else {"type": "http.disconnect"}

    go = threading.Event()
    others = [runtime.decoders.submit(go.wait) for _ in range(2)]
    try:
        assert run(status_of(make_app(runtime), receive, b"application/json")) == status
    finally:
        go.set()
        concurrent.futures.wait(others)
    runtime.decoders.submit(int).result()
    assert not taken_apart
    assert runtime.engine.permits.n_taken == 0


async def status_of(app, receive, content_type=b"image/png"):
    """Of what is posted to an application, its body coming from `receive`."""
    statuses = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/detect",
        "raw_path": b"/v1/detect",
        "query_string": b"",
        "headers": [(b"content-type", content_type)],
        "server": ("localhost", 80),
        "client": ("localhost", 1),
        "root_path": "",
        "state": {},
    }

    async def send(message):
        statuses.append(message.get("status"))

    await app(scope, receive, send)
    return statuses[0]


def test_requests_at_the_same_time_keep_their_images_apart(make_app, runtime, run, digit_pngs):
    async def send():
        transport = httpx.ASGITransport(make_app(runtime))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            pngs = digit_pngs(20)
            answers = await asyncio.gather(*(client.post("/v1/detect", files=files(*pngs[:n])) for n in range(1, 20)))
        return [len(answer.json()["results"]) for answer in answers]

    runtime.engine.permits.capacity = 1000
    assert run(send()) == list(range(1, 20))
    assert runtime.engine.permits.n_taken == 0
