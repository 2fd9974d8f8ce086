"""A real server in this process, and the router of KServe's InferenceGraph in so far as the graphs here use it."""

import asyncio
import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gjson
import httpx
import pytest
import yaml

from service.rest.app import create_app
from service.serving.server import make_runtime
from service.settings import ServeSettings

FOLDER = Path(__file__).parents[3] / "deploy" / "kserve"
Answer = tuple[int, Any]
Ask = Callable[[Any], Answer]
KEY = "0123456789abcdef"


def exists(document: Any, path: str) -> bool:
    """Whether a path of GJSON finds something."""
    try:
        gjson.get(document, path)
    except gjson.GJSONParseError:
        return False
    return True


@dataclasses.dataclass(frozen=True)
class Router:
    """Sequence and Ensemble as kserve-router has them (kserve/cmd/router/main.go).

    A step of a sequence gets the graph's request, or the answer before where its data is `$response`. A condition is a
    path that must exist in the answer before; where it does not, that answer ends the sequence. A hard step that fails
    ends its node. An ensemble answers 200 with every step's answer under its name. A step that cannot be reached ends
    everything with 500, soft or hard.

    Attributes:
        status_unmet: where a condition is not met; older versions of it have 500, newer ones 200.
    """

    graph: dict[str, Any]
    services: dict[str, Ask]
    status_unmet: int = 200

    def ask(self, request: Any) -> Answer:
        node = self.graph["spec"]["nodes"]["root"]
        try:
            return getattr(self, node["routerType"].lower())(node["steps"], request)
        except ConnectionError as error:
            return 500, {"error": "Failed to process request", "cause": str(error)}

    def sequence(self, steps: list[dict[str, Any]], request: Any) -> Answer:
        status, answer = 200, None
        for step in steps:
            if "condition" in step and not exists(answer, step["condition"]):
                return self.status_unmet, answer
            given = answer if step.get("data") == "$response" else request
            status, answer = self.services[step["serviceName"]](given)
            if step.get("dependency") == "Hard" and not 200 <= status < 300:
                break
        return status, answer

    def ensemble(self, steps: list[dict[str, Any]], request: Any) -> Answer:
        answers = {}
        for step in steps:
            status, answer = self.services[step["serviceName"]](request)
            if step.get("dependency") == "Hard" and not 200 <= status < 300:
                return status, answer
            answers[step["name"]] = answer
        return 200, answers


@pytest.fixture(scope="session")
def manifests() -> dict[tuple[str, str], dict[str, Any]]:
    """Every document, by its file and kind."""
    return {
        (file.name, document["kind"]): document
        for file in sorted(FOLDER.glob("*.yaml"))
        for document in yaml.safe_load_all(file.read_text())
    }


@dataclasses.dataclass(frozen=True)
class Server:
    """The application behind its real guards, asked in this process."""

    runner: asyncio.Runner
    app: Any

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            headers = {"Authorization": f"Bearer {KEY}"}
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client:
                return await client.request(method, path, **options)

        return self.runner.run(send())


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The real application with the digits, warm."""
    folder = tmp_path_factory.mktemp("state")
    app = create_app(make_runtime(ServeSettings(bundles=("digits",), device="cpu", state=folder, keys=f"me:{KEY}")))
    with asyncio.Runner() as runner:
        lifespan = app.router.lifespan_context(app)
        runner.run(lifespan.__aenter__())
        served = Server(runner, app)
        until = time.monotonic() + 180
        while served.request("GET", "/v2/health/ready").status_code != 200:
            assert time.monotonic() < until
            time.sleep(0.02)
        yield served
        runner.run(lifespan.__aexit__(None, None, None))


@pytest.fixture
def detector(server: Server) -> Ask:
    """Asks the server as the router does."""

    def ask(request: Any) -> Answer:
        answer = server.request("POST", "/v2/models/digits/infer", content=json.dumps(request))
        return answer.status_code, answer.json()

    return ask


@pytest.fixture
def router() -> type[Router]:
    return Router
