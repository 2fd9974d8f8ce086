"""A real server on a loopback port, small caps so that abuse is cheap, and the digits that it judges."""

import dataclasses
import io
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import uvicorn
from PIL import Image

from detector.types import to_pixels
from detector.verdict import Verdict
from models.digits import load_digits_images
from service.bundles import ClassifierChoice, open_detector
from service.rest.app import create_app
from service.rest.guards.connections import ConnectionLimits, guarded_protocol
from service.serving.server import make_runtime
from service.settings import ServeSettings

sys.path.insert(0, str(Path(__file__).parent))

BODY_BYTES = 2_000_000
BODY_SECONDS = 600.0
"""Longer than any test: what ends here is ended by its size or its form, not by its time."""

SECONDS_TO_START = 120.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """A server that runs.

    Attributes:
        process: of the server itself, for its memory.
        body_bytes: largest body that it takes.
    """

    host: str
    port: int
    process: psutil.Process
    body_bytes: int = BODY_BYTES

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def memory(self) -> int:
        """Bytes of the process that are in memory."""
        return int(self.process.memory_info().rss)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Digits:
    """Scans that the shipped classifier was not trained on, and what Python makes of them.

    Attributes:
        pixels: shape (image, 1, 8, 8), uint8.
        files: the same as PNG.
        verdicts: by `Detector.inspect` at the rate 0.05.
    """

    pixels: object
    files: tuple[bytes, ...]
    verdicts: tuple[Verdict, ...]
    labels: tuple[str, ...]


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    port = free_port()
    command = [str(Path(sys.executable).with_name("isthmus")), "serve", "--bundle", "digits", "--port", str(port)]
    command += ["--body-bytes", str(BODY_BYTES), "--body-seconds", str(BODY_SECONDS), "--drain-seconds", "0"]
    command += ["--state", str(folder / "state"), "--device", "cpu", "--queue-images", "64"]
    log = folder / "log.txt"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ISTHMUS_")}
    with log.open("wb") as written:
        process = subprocess.Popen(command, stdout=written, stderr=written, env=environment)
    try:
        server = Server(host="127.0.0.1", port=port, process=psutil.Process(process.pid))
        wait_until_ready(server, process, log)
        yield server
    finally:
        process.terminate()
        assert process.wait(timeout=60) == 0, log.read_text()


@pytest.fixture(scope="session")
def hasty_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """In a thread of this process, which spares a start: bodies must come in within two seconds, not thirty."""
    state = tmp_path_factory.mktemp("hasty") / "state"
    runtime = make_runtime(ServeSettings(bundles=("digits",), device="cpu", state=state, body_seconds=2.0))
    protocol = guarded_protocol(ConnectionLimits(connections=256))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(create_app(runtime), http=protocol, ws="none", log_config=None, lifespan="on")
        served = uvicorn.Server(config)
        thread = threading.Thread(target=served.run, args=([listener],))
        thread.start()
        try:
            end = time.monotonic() + SECONDS_TO_START
            while not served.started:
                assert thread.is_alive() and time.monotonic() < end
                time.sleep(0.02)
            yield Server(host="127.0.0.1", port=listener.getsockname()[1], process=psutil.Process())
        finally:
            served.should_exit = True
            thread.join()


def wait_until_ready(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(f"{server.url}/v2/health/ready", timeout=10).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="session")
def digits() -> Digits:
    opened = open_detector("digits", false_positive_rate=0.05, choice=ClassifierChoice(device="cpu"))
    _, held_out = load_digits_images()
    images = held_out.images[:8]
    files = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image[0].numpy()).save(buffer, "PNG")
        files.append(buffer.getvalue())
    return Digits(
        pixels=images.numpy(),
        files=tuple(files),
        verdicts=tuple(opened.detector.inspect(to_pixels(images))),
        labels=opened.labels,
    )


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client


@pytest.fixture
def well(client: httpx.Client, digits: Digits) -> Iterator[None]:
    """After each kind of abuse the server is well, and judges as before."""
    yield
    assert client.get("/v2/health/ready").json() == {"live": True, "ready": True}
    answer = client.post("/v1/detect", content=digits.files[0], headers={"Content-Type": "image/png"})
    assert answer.status_code == 200
    assert answer.json()["results"][0]["decision"] == digits.verdicts[0].decision.value
