"""The whole application in a thread of this process, with the shipped digits bundle, on a loopback port."""

import contextlib
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI
from PIL import Image
from sklearn.datasets import load_digits

from service.rest.app import create_app
from service.serving.server import make_runtime
from service.settings import ServeSettings


def encoded_digit(index: int) -> bytes:
    """A scan of a digit as the classifier takes it."""
    pixels = (load_digits().images[index] * (255 / 16)).round().astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


class Client(httpx.Client):
    """Asks the application, and knows it."""

    def __init__(self, app: FastAPI, url: str) -> None:
        super().__init__(base_url=url, timeout=30)
        self.app = app


@contextlib.contextmanager
def served(folder: Path, **settings: Any) -> Iterator[Client]:
    runtime = make_runtime(
        ServeSettings(
            bundles=("digits",),
            state=folder / "state",
            audit_folders=(folder / "allowed",),
            archive_bytes=200_000,
            shutdown_seconds=5,
            **settings,
        )
    )
    app = create_app(runtime)
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="on", log_config=None, ws="none"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        with Client(app, f"http://localhost:{port}") as client:
            wait_until(lambda: client.get("/v2/health/ready").status_code == 200)
            yield client
    finally:
        server.should_exit = True
        thread.join()


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="session")
def digits(folder: Path) -> Path:
    """Twelve digits that may be audited."""
    images = folder / "allowed" / "digits"
    images.mkdir(parents=True)
    for index in range(12):
        (images / f"{index:02}.png").write_bytes(encoded_digit(index))
    return images


@pytest.fixture(scope="session")
def client(folder: Path, digits: Path) -> Iterator[Client]:
    with served(folder) as client:
        yield client


@pytest.fixture(scope="session")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], httpx.Client]]:
    """A server with keys; gives a way to ask it with one of them."""
    folder = tmp_path_factory.mktemp("keyed")
    (folder / "allowed").mkdir()
    (folder / "allowed" / "a.png").write_bytes(encoded_digit(0))
    keys = {name: f"{name}-0123456789-0123456789-0123456789" for name in ("alice", "bob")}
    text = ",".join(f"{name}:{key}" for name, key in keys.items())
    with served(folder, keys=text, allowed_hosts=("localhost",)) as client:

        def ask(name: str, method: str, path: str, **options: Any) -> httpx.Response:
            return client.request(method, path, headers={"Authorization": f"Bearer {keys[name]}"}, **options)

        ask.folder = str(folder / "allowed")  # type: ignore[attr-defined]
        yield ask


@pytest.fixture(name="wait_until")
def waiting() -> Callable[[Callable[[], bool]], None]:
    return wait_until


@pytest.fixture
def digit() -> Callable[[int], bytes]:
    return encoded_digit


@pytest.fixture
def ended(client: Client) -> Callable[[str], dict[str, Any]]:
    """Waits for the end of an audit."""

    def wait(audit_id: str) -> dict[str, Any]:
        until = time.monotonic() + 60
        while (audit := client.get(f"/v1/audits/{audit_id}").json())["state"] in ("queued", "running"):
            assert time.monotonic() < until, audit
            time.sleep(0.02)
        return dict(audit)

    return wait


@pytest.fixture
def results(client: Client) -> Callable[..., list[dict[str, Any]]]:
    def read(audit_id: str, **query: int) -> list[dict[str, Any]]:
        response = client.get(f"/v1/audits/{audit_id}/results", params=query)
        assert response.headers["content-type"].startswith("application/x-ndjson")
        return [json.loads(line) for line in response.text.splitlines()]

    return read
