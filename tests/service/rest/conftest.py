"""A small application behind the real guards, and ways to ask it: in the process, and over a socket."""

import asyncio
import dataclasses
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
import uvicorn
from fastapi import Body, FastAPI, Request

from service.bundles import ClassifierChoice, open_detector
from service.errors import EngineError, OverloadedError
from service.rest.failures import HANDLERS
from service.rest.guards.connections import ConnectionLimits, guarded_protocol
from service.rest.guards.request_ids import RequestIds
from service.rest.guards.stack import guards
from service.runtime import ServedBundle
from service.settings import ServeSettings

sys.path.insert(0, str(Path(__file__).parent))

from asking.sockets import SECONDS, Served
from asking.waiting import wait_until

STALL = None
"""In place of a piece of a body: nothing comes any more."""


@dataclasses.dataclass(frozen=True)
class Reply:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name.lower()), None)

    def json(self) -> Any:
        return json.loads(self.body)


async def converse(app, path, method, headers, pieces) -> Reply:
    pairs = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    if not any(name == b"host" for name, _ in pairs):
        pairs.append((b"host", b"localhost:8080"))
    scope = {
        "type": "http",
        "http_version": "1.1",
        "asgi": {"version": "3.0"},
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": pairs,
        "scheme": "http",
        "client": ("127.0.0.1", 5),
        "server": ("127.0.0.1", 8080),
        "state": {},
    }
    waiting = list(pieces)
    sent: list[dict[str, Any]] = []

    async def receive():
        if not waiting:
            return {"type": "http.disconnect"}
        if waiting[0] is STALL:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    head, *rest = sent
    return Reply(
        head["status"],
        [(name.decode(), value.decode()) for name, value in head["headers"]],
        b"".join(message.get("body", b"") for message in rest),
    )


@pytest.fixture
def ask() -> Callable[..., Reply]:
    def ask(
        app: Any,
        path: str = "/v1/who",
        method: str = "GET",
        headers: Sequence[tuple[str, str]] = (),
        body: Sequence[bytes | None] = (b"",),
    ) -> Reply:
        return asyncio.run(converse(app, path, method, headers, body))

    return ask


@pytest.fixture
def rejections() -> list[str]:
    return []


@pytest.fixture
def small_app(rejections: list[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., FastAPI]:
    """Makes an application whose settings are those that are given."""

    def make(**settings: Any) -> FastAPI:
        middleware = [*guards(ServeSettings(**settings), rejections.append)]
        app = FastAPI(
            middleware=middleware,
            exception_handlers=dict(HANDLERS),
            redirect_slashes=False,
            docs_url=None,
            redoc_url=None,
            openapi_url=None,
        )
        app.add_middleware(RequestIds)
        add_routes(app)
        return app

    return make


def add_routes(app: FastAPI) -> None:
    @app.get("/v2/health/live")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @app.get("/v1/who")
    async def who(request: Request) -> dict[str, str]:
        return dict(request.state._state)

    @app.post("/v1/echo")
    @app.post("/v1/audits")
    async def echo(request: Request) -> dict[str, Any]:
        return {"body": (await request.body()).decode("latin-1"), "headers": dict(request.headers)}

    @app.post("/v1/typed")
    async def typed(document: Annotated[dict[str, int], Body()]) -> dict[str, int]:
        return document

    @app.post("/v1/deaf")
    async def deaf() -> dict[str, str]:
        return {"body": "not read"}

    @app.get("/v1/fail")
    async def fail() -> None:
        raise RuntimeError("where the treasure lies")

    @app.get("/v1/busy")
    async def busy() -> None:
        raise OverloadedError("full", retry_after=2.2)

    @app.get("/v1/broken")
    async def broken() -> None:
        raise EngineError("the device has gone")

    @app.get("/v1/slow")
    async def slow() -> dict[str, str]:
        await asyncio.sleep(0.3)
        return {"body": "slow"}

    app.state.may_answer = threading.Semaphore(0)

    @app.get("/v1/held")
    async def held() -> dict[str, str]:
        while not app.state.may_answer.acquire(blocking=False):
            await asyncio.sleep(0.002)
        return {"body": "held"}


UNHURRIED = {"connections": 100, "head_seconds": 600.0, "linger_seconds": 600.0, "write_seconds": 600.0}
"""Limits that end nothing within a test: what ends is ended by the one that it sets."""


@pytest.fixture
def served() -> Iterator[Callable[..., Served]]:
    """Serves applications on loopback ports until the test is over.

    No connection is closed because of the time unless a test says when, so a test reads to the end only what is closed
    because of what it sent.
    """
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def serve(app: Any, keep_alive: float = 600, **limits: Any) -> Served:
        protocol = guarded_protocol(ConnectionLimits(**(UNHURRIED | limits)))
        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_keep_alive=keep_alive,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        running.append((server, thread))
        wait_until(lambda: server.started)
        return Served(listener.getsockname()[1], server)

    yield serve
    for server, thread in running:
        server.should_exit = server.force_exit = True
        thread.join(SECONDS)
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def digits() -> ServedBundle:
    opened = open_detector("digits", false_positive_rate=0.05, choice=ClassifierChoice(device="cpu"))
    return ServedBundle(
        name="digits",
        digest="d" * 64,
        detector=opened.detector,
        preprocessing=opened.preprocessing,
        labels=opened.labels,
    )


class InProcess:
    """Sends single requests to an application in this process, as a client does that knows what HTTP is."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())


@pytest.fixture
def in_process() -> Callable[[FastAPI], InProcess]:
    return InProcess
