import dataclasses
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from detector.types import LabelledImages

T = TypeVar("T")


@pytest.fixture(scope="session")
def cifar10_test(shared_data: Path) -> LabelledImages:
    """The first 2,000 CIFAR-10 test images that are to be had exactly."""
    source = shared_data / "cifar10"
    strips = [np.asarray(Image.open(source / f"test-{index:03}.webp").convert("RGB")) for index in range(4)]
    images = np.concatenate([strip.reshape(-1, 32, 32, 3) for strip in strips])
    exact = np.load(source / "test-exact.npy")[: len(images)]
    labels = np.load(source / "test-labels.npy")[: len(images)].astype(np.int64)
    return LabelledImages(
        images=torch.from_numpy(images[exact]).permute(0, 3, 1, 2).contiguous(), labels=torch.from_numpy(labels[exact])
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunningServer:
    """`isthmus serve` in a process of its own.

    Attributes:
        log: what it has written to stderr so far, JSON lines.
        said: what it has written to stdout.
    """

    process: subprocess.Popen[bytes]
    url: str
    log: Path
    said: Path

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines of the log that are there whole."""
        return [json.loads(line) for line in self.log.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def wait_for(self, event: str, seconds: float = 60) -> None:
        """Wait until the log tells of an event."""
        _wait_until(lambda: any(line["event"] == event for line in self.events), self.process, self.log, seconds)

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout: float = 90) -> int:
        """Send a signal and wait for the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout)


@pytest.fixture
def running_server(tmp_path: Path) -> Iterator[Callable[..., RunningServer]]:
    """Starts servers of the digits bundle on free loopback ports; flags and variables can be added.

    They are ready when they are handed over, unless `wait` is False; then they listen. What still runs is stopped at
    the end, and must end with 0.
    """
    started: list[RunningServer] = []

    def start(*flags: str, wait: bool = True, verify: ssl.SSLContext | bool = True, **variables: str) -> RunningServer:
        folder = tmp_path / f"server-{len(started)}"
        folder.mkdir()
        command = [str(Path(sys.executable).with_name("isthmus")), "serve", "--bundle", "digits", "--port", "0"]
        command += ["--device", "cpu", "--drain-seconds", "0", "--state", str(folder / "state"), *flags]
        ours = {name: value for name, value in os.environ.items() if not name.startswith("ISTHMUS_")}
        log, said = folder / "log.jsonl", folder / "said.txt"
        with log.open("wb") as errors, said.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=errors, env=ours | variables)
        server = RunningServer(process=process, url=_url_of(process, log), log=log, said=said)
        started.append(server)
        if wait:
            _wait_until(lambda: _is_ready(server.url, verify), process, log)
        return server

    yield start
    for server in started:
        if server.process.poll() is None:
            assert server.stop() == 0, server.log.read_text()


def _url_of(process: subprocess.Popen[bytes], log: Path) -> str:
    def listening() -> str | None:
        lines = [line for line in log.read_text().splitlines() if '"event": "listening"' in line]
        return json.loads(lines[0])["address"] if lines else None

    return _wait_until(listening, process, log)


def _is_ready(url: str, verify: ssl.SSLContext | bool) -> bool:
    return httpx.get(f"{url}/v2/health/ready", verify=verify, timeout=30).status_code == 200


def _wait_until(
    condition: Callable[[], T | None], process: subprocess.Popen[bytes], log: Path, seconds: float = 300
) -> T:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        if outcome := condition():
            return outcome
        time.sleep(0.02)
    raise AssertionError(log.read_text())
