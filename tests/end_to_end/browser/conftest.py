"""A page that a server shows, a browser to look at it with, and images to give to it."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from PIL import Image
from torch import Tensor

from detector.evaluation.attacks import pgd
from detector.types import to_pixels, to_stored
from detector.verdict import Decision
from models.digits import load_digits_images
from service.bundles import ClassifierChoice, open_detector

sys.path.insert(0, str(Path(__file__).parent))

from headless.chromium import SECONDS, Chromium
from headless.judged import Judged

RATE = 0.05


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


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> dict[Decision, Judged]:
    """A scan that passes, and one that is flagged after an attack."""
    opened = open_detector("digits", false_positive_rate=RATE, choice=ClassifierChoice())
    _, data = load_digits_images()
    clean, labels, attack = to_pixels(data.images[::30]), data.labels[::30], pgd(0.2)
    attacked = to_pixels(to_stored(attack(opened.detector.classifier, clean, labels, torch.Generator().manual_seed(0))))
    folder = tmp_path_factory.mktemp("digits")
    found = {}
    for decision, images in ((Decision.CLEAN, clean), (Decision.ADVERSARIAL, attacked)):
        verdicts = opened.detector.inspect(images)
        index = next(index for index, verdict in enumerate(verdicts) if verdict.decision is decision)
        path = folder / f"{decision.value}.png"
        write_png(images[index], path)
        found[decision] = Judged(path=path, verdict=verdicts[index], labels=opened.labels)
    return found


def write_png(image: Tensor, path: Path) -> None:
    Image.fromarray(to_stored(image[None])[0, 0].numpy()).save(path)


@pytest.fixture
def page(browser: Any, page_url: str) -> Iterator[Any]:
    """The page, with the digits' detector chosen; nothing may have gone wrong in it by the end."""
    browser.look(width=1100, height=900)
    browser.open(page_url)
    browser.until("document.querySelector('#bundle').options.length > 0")
    browser.value("document.querySelector('#bundle').value = 'digits'")
    browser.value("document.querySelector('#bundle').dispatchEvent(new Event('change'))")
    yield browser
    assert browser.complaints() == []
    assert all(address.startswith(page_url) for address in browser.requests())
