import asyncio
import logging
from types import SimpleNamespace

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from service.observability.tracing import SilentTracing
from service.rest.guards.request_log import RequestLog, route_template


class Heard:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.tracing = SilentTracing()
        self.done: list[tuple[str, int]] = []
        self.seconds: list[float] = []

    def request_done(self, *, route: str, code: int, seconds: float) -> None:
        self.done.append((route, code))
        self.seconds.append(seconds)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def ask(heard):
    router = APIRouter()

    @router.get("/v1/audits/{name}")
    async def audit(name: str) -> str:
        return name

    @router.get("/v2/health/live")
    async def live() -> str:
        return "live"

    @router.get("/broken")
    async def broken() -> None:
        raise RuntimeError("broken")

    app = FastAPI(redirect_slashes=False)
    app.include_router(router)
    app.add_middleware(RequestLog, observability=heard)

    def ask(method: str, path: str, **more) -> httpx.Response:
        async def request() -> httpx.Response:
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
                return await client.request(method, path, **more)

        return asyncio.run(request())

    return ask


def test_the_route_is_the_template_and_never_the_path(ask, heard):
    for name in ("one", "two"):
        ask("GET", f"/v1/audits/{name}")
    ask("GET", "/wp-admin.php")
    ask("POST", "/v1/audits/one")
    assert heard.done == [
        ("/v1/audits/{name}", 200),
        ("/v1/audits/{name}", 200),
        ("unmatched", 404),
        ("/v1/audits/{name}", 405),
    ]
    assert all(seconds > 0 for seconds in heard.seconds)


def test_an_error_that_nobody_foresaw_is_a_500(ask, heard):
    ask("GET", "/broken")
    assert heard.done == [("/broken", 500)]


def test_a_request_is_one_line_without_path_or_query(ask, caplog):
    with caplog.at_level(logging.DEBUG, logger="service"):
        ask("GET", "/v1/audits/one?key=secret", headers={"Authorization": "Bearer secret"})
        ask("GET", "/v2/health/live")
    first, second = (record for record in caplog.records if record.message == "request")
    assert (first.levelname, first.method, first.route, first.code, first.bytes) == (
        "INFO",
        "GET",
        "/v1/audits/{name}",
        200,
        5,
    )
    assert "secret" not in str(vars(first))
    assert second.levelname == "DEBUG"


def test_a_request_that_is_given_up_counts_as_the_clients_doing(heard):
    async def hangs(scope, receive, send) -> None:
        await asyncio.sleep(60)

    async def give_up() -> None:
        scope = {"type": "http", "method": "X" * 1000, "headers": [], "client": None}
        task = asyncio.create_task(RequestLog(hangs, heard)(scope, None, None))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(give_up())
    assert heard.done == [("unmatched", 499)]


def test_what_is_no_request_passes(heard):
    seen = []

    async def app(scope, receive, send) -> None:
        seen.append(scope["type"])

    asyncio.run(RequestLog(app, heard)({"type": "lifespan"}, None, None))
    assert (seen, heard.done) == (["lifespan"], [])


def test_a_route_without_a_template_is_unmatched():
    assert route_template({"route": SimpleNamespace()}) == "unmatched"
    assert route_template({}) == "unmatched"
