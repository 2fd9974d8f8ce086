from types import SimpleNamespace

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


def test_the_exposition_is_served_as_what_it_is(in_process):
    answer = in_process(make_app()).get("/metrics")
    assert (answer.status_code, answer.content) == (200, b"up 1\n")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"


def test_with_a_port_of_their_own_metrics_are_not_found_here(in_process):
    with pytest.raises(NotFoundError, match="metrics_port"):
        in_process(make_app(metrics_port=0)).get("/metrics")


def test_the_schema_says_that_it_is_text():
    schema = make_app().openapi()["paths"]["/metrics"]["get"]
    assert list(schema["responses"]["200"]["content"]) == ["text/plain"]
