import asyncio
from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI

from service.errors import NotFoundError
from service.rest import metrics
from service.settings import ServeSettings


def make_app(**settings) -> FastAPI:
    app = FastAPI()
    app.include_router(metrics.router)
    app.state.runtime = SimpleNamespace(
        settings=ServeSettings(**settings),
        observability=SimpleNamespace(render=lambda: (b"up 1\n", "text/plain; version=0.0.4; charset=utf-8")),
    )
    return app


def ask(app: FastAPI, path: str) -> httpx.Response:
    async def get() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:
            return await client.get(path)

    return asyncio.run(get())


def test_the_exposition_is_served_as_what_it_is():
    answer = ask(make_app(), "/metrics")
    assert (answer.status_code, answer.content) == (200, b"up 1\n")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"


def test_with_a_port_of_their_own_metrics_are_not_found_here():
    with pytest.raises(NotFoundError, match="metrics_port"):
        ask(make_app(metrics_port=0), "/metrics")


def test_the_schema_says_that_it_is_text():
    schema = make_app().openapi()["paths"]["/metrics"]["get"]
    assert list(schema["responses"]["200"]["content"]) == ["text/plain"]
