"""A page that a server shows, and a browser to look at it with."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from headless.chromium import SECONDS, Chromium


@pytest.fixture(scope="session")
def page_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of the digits bundle, the same one for all pages that are looked at."""
    folder = tmp_path_factory.mktemp("server")
    log = folder / "log.jsonl"
    command = [str(Path(sys.executable).with_name("isthmus")), "serve", "--bundle", "digits", "--port", "0"]
    command += ["--device", "cpu", "--drain-seconds", "0", "--state", str(folder / "state")]
    ours = {name: value for name, value in os.environ.items() if not name.startswith("ISTHMUS_")}
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, env=ours)
    try:
        yield ready_url(process, log)
    finally:
        process.terminate()
        assert process.wait(SECONDS) == 0, log.read_text()


def ready_url(process: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline = time.monotonic() + 2 * SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        [url] = re.findall(r'"event": "listening", "address": "([^"]+)"', log.read_text()) or [None]
        if url is not None and httpx.get(f"{url}/v2/health/ready", timeout=SECONDS).status_code == 200:
            return url
        time.sleep(0.05)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip("no Chromium is installed; apt-get install chromium")
    chromium = Chromium(executable, tmp_path_factory.mktemp("chromium"))
    yield chromium
    chromium.close()


@pytest.fixture
def browser(chromium: Chromium) -> Chromium:
    """The browser with an empty tab."""
    chromium.begin()
    return chromium
