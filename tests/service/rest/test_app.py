"""The whole application in the process, with the bundle of the digits."""

import asyncio
import re

import pytest

from service.rest.app import create_app
from service.serving.server import make_runtime
from service.settings import ServeSettings

KEY = "anna-0123456789abcdef"


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    folder = tmp_path_factory.mktemp("state")
    settings = ServeSettings(bundles=("digits",), device="cpu", state=folder, keys=f"anna:{KEY}")
    runtime = make_runtime(settings)
    yield runtime
    runtime.audits.close()
    runtime.engine.close()
    runtime.decoders.shutdown()
    runtime.observability.close()


@pytest.fixture(scope="module")
def app(runtime):
    return create_app(runtime)


def test_every_path_that_there_is_needs_a_key(app, ask):
    routes = [route for route in app.routes if hasattr(route, "path")]
    paths = {re.sub("{[^}]*}", "x", path) for path in [*app.openapi()["paths"], *(route.path for route in routes)]}
    assert len(paths) > 10
    open_paths = set()
    for path in paths:
        for method in ("GET", "POST", "DELETE", "PUT", "HEAD", "OPTIONS"):
            if ask(app, path, method).status != 401:
                open_paths.add(path)
    assert open_paths == {"/v2/health/live", "/v2/health/ready"}


def test_no_two_routes_claim_the_same_request(app):
    schema = app.openapi()
    names = [operation["operationId"] for path in schema["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))


def test_what_goes_wrong_has_one_form_and_keeps_what_clients_need(app, ask):
    bearer = [("Authorization", f"Bearer {KEY}")]
    for path, method, status in (("/nowhere", "GET", 404), ("/v1/detect", "GET", 405), ("/v1/bundles/x", "GET", 404)):
        reply = ask(app, path, method, bearer)
        assert (reply.status, list(reply.json())) == (status, ["error"])
        assert reply.header("x-request-id")
    assert ask(app, "/v1/detect", "GET", bearer).header("allow") == "POST"


def test_a_path_is_never_bent_into_another(app, ask):
    bearer = [("Authorization", f"Bearer {KEY}")]
    for path in ("/v1/bundles/", "//v1/bundles", "/v1//bundles", "/v1/./bundles", "/V1/BUNDLES", "/v1/bundles\0"):
        assert ask(app, path, "GET", bearer).status == 404


def test_the_framework_serves_no_page_of_its_own(app, ask):
    bearer = [("Authorization", f"Bearer {KEY}")]
    assert ask(app, "/redoc", "GET", bearer).status == 404
    assert b"cdn" not in ask(app, "/docs", "GET", bearer).body


def test_it_works_while_it_is_served_and_refuses_afterwards(tmp_path, ask):
    runtime = make_runtime(ServeSettings(bundles=("digits",), device="cpu", state=tmp_path))
    app = create_app(runtime)

    async def served():
        async with app.router.lifespan_context(app):
            assert runtime.engine.is_live
            for _ in range(6000):
                if runtime.is_ready:
                    break
                await asyncio.sleep(0.01)
            assert runtime.is_ready
            assert b"isthmus_ready 1.0" in runtime.observability.render()[0]
            runtime.draining.set()
            assert b"isthmus_ready 0.0" in runtime.observability.render()[0]
            assert runtime.observability.stats()["queue"]["is_ready"] is False

    asyncio.run(served())
    assert runtime.draining.is_set()
    assert not runtime.engine.is_ready
    health = ask(app, "/v2/health/ready")
    assert (health.status, health.json()["ready"]) == (503, False)
