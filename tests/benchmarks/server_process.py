"""The real server as a process of its own, for benchmarks."""

import contextlib
import dataclasses
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
from http_load import Target

START_SECONDS = 120


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """A running server."""

    process: subprocess.Popen[bytes]
    target: Target
    log: Path

    @property
    def url(self) -> str:
        return f"http://{self.target.host}:{self.target.port}"

    def resident_bytes(self) -> int:
        """What it holds of the machine's memory."""
        return int(psutil.Process(self.process.pid).memory_info().rss)


@contextlib.contextmanager
def serving(folder: Path, *flags: str) -> Iterator[Server]:
    """Start `isthmus serve` on a free port, wait until it is ready, and end it afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "server.log"
    command = [str(Path(sys.executable).with_name("isthmus")), "serve", "--port", str(port), "--state", str(folder)]
    environment = os.environ | {"ISTHMUS_DRAIN_SECONDS": "0"}
    with log.open("wb") as stderr:
        process = subprocess.Popen([*command, *flags], stderr=stderr, stdout=subprocess.DEVNULL, env=environment)
    server = Server(process=process, target=Target(host="127.0.0.1", port=port), log=log)
    try:
        _wait_until_ready(server)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait_until_ready(server: Server) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{server.url}/v2/health/ready").status_code == 200:
                return
        time.sleep(0.1)
    raise RuntimeError(f"the server did not become ready: {server.log.read_text(encoding='utf-8')[-2000:]}")
