"""All guards together, in their order."""

import asyncio
import threading

import pytest
from prometheus_client import CollectorRegistry
from starlette.middleware.base import BaseHTTPMiddleware

from service.observability.observability import Observability
from service.rest.failures import Failures
from service.rest.guards.keys import KeyRing
from service.rest.guards.request_ids import RequestIds
from service.rest.guards.request_log import RequestLog
from service.rest.guards.stack import guards, stack
from service.settings import ServeSettings

KEY = "anna-0123456789abcdef"


@pytest.fixture
def whole():
    settings = ServeSettings(keys=f"anna:{KEY}", body_bytes=10, requests_at_once=1)
    observability = Observability(settings, {}, CollectorRegistry())
    yield stack(settings, observability, threading.Event())
    observability.close()


def built(middleware, app):
    for one in reversed(middleware):
        app = one.cls(app, *one.args, **one.kwargs)
    return app


def test_no_guard_stands_between_a_route_and_its_clients_leaving(whole, ask):
    assert not [one.cls for one in whole if issubclass(one.cls, BaseHTTPMiddleware)]
    seen = []

    async def route(scope, receive, send):
        seen.append((await receive())["type"])
        seen.append((await receive())["type"])
        await send({"type": "http.response.start", "status": 200, "headers": []})

    assert ask(built(whole, route), headers=[("Authorization", f"Bearer {KEY}")]).status == 200
    assert seen == ["http.request", "http.disconnect"]


def test_every_refusal_is_signed_logged_and_answered(whole):
    order = [one.cls for one in whole]
    assert order[:2] == [RequestIds, RequestLog]
    assert order.index(Failures) < len(order) - 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([("Sec-Fetch-Site", "cross-site"), ("Host", "a b"), ("content-length", "99")], 403),
        ([("Host", "a b"), ("content-length", "99")], 421),
        ([("content-length", "99"), ("content-encoding", "br")], 401),
        ([("content-length", "99"), ("Authorization", f"Bearer {KEY}")], 413),
        ([("content-encoding", "br"), ("Authorization", f"Bearer {KEY}")], 415),
        ([("Authorization", f"Bearer {KEY}")], 200),
    ],
)
def test_who_asks_is_looked_at_before_what_is_asked(whole, ask, headers, status):
    async def route(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    assert ask(built(whole, route), "/v1/echo", "POST", headers, [None]).status == status


def test_other_scopes_pass_untouched(whole):
    passed = []

    async def app(scope, receive, send):
        passed.append(scope["type"])

    asyncio.run(built(whole, app)({"type": "lifespan"}, None, None))
    assert passed == ["lifespan"]


def test_a_server_without_keys_has_no_key_ring_and_one_with_keys_has():
    def ring(settings):
        return next(one.kwargs["keys"] for one in guards(settings, print) if "keys" in one.kwargs)

    assert ring(ServeSettings()) is None
    assert isinstance(ring(ServeSettings(keys=f"anna:{KEY}")), KeyRing)


def test_a_server_that_is_stopped_amid_an_answer_says_so(ask):
    async def interrupted():
        sent = []

        async def send(message):
            sent.append(message)

        async def route(scope, receive, send):
            await asyncio.Event().wait()

        task = asyncio.ensure_future(Failures(route)({"type": "http"}, None, send))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return sent

    start, body = asyncio.run(interrupted())
    assert start["status"] == 503
    assert body["body"] == b'{"error":"the server is stopping"}'
