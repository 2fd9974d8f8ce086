"""What the pages tell users to ask the service is asked: every curl command and every client, of a server that runs."""

import base64
import json
import re
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from models.digits import load_digits_images

sys.path.insert(0, str(Path(__file__).parents[1] / "deploy" / "examples"))

from page_examples.pages import SHELL, blocks
from page_examples.shell import parse

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on this machine"),
]

PAGES = ("README.md", "service/README.md", "deploy/OPERATIONS.md")
PROMETHEUS = ":9090"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the files that a reader of the pages has."""
    pixels = load_digits_images()[1].images[:6, 0].numpy()
    for name, image in zip(("a.png", "b.jpg", "photo.png"), pixels, strict=False):
        Image.fromarray(image).save(tmp_path / name)
    uploads = tmp_path / "uploads" / "monday"
    uploads.mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as packed, tarfile.open(tmp_path / "images.tgz", "w:gz") as tar:
        for index, image in enumerate(pixels):
            file = uploads / f"{index}.png"
            Image.fromarray(image).save(file)
            packed.write(file, file.name)
            tar.add(file, file.name)
    return tmp_path


@pytest.fixture
def server(running_server: Callable[..., Any], place: Path) -> Any:
    """Serves digits under the names of the pages, too."""
    digits = ROOT / "detector" / "bundles" / "digits"
    return running_server(
        "--bundle", f"cifar10-resnet20={digits}", "--bundle", f"candidate={digits}",
        "--audit-folder", str(place / "uploads"),
    )  # fmt: skip


class Reader:
    """Does what a page says, with a reader's own names in the place of the page's."""

    def __init__(self, server: Any, place: Path) -> None:
        self._url, self._place = server.url, place
        self._detected, self._audit = "", ""

    def ask(self, words: list[str]) -> int:
        """Run a curl command, and say with which status it was answered."""
        words = [self._own(word) for word in words]
        answer = self._place / "answer"
        named = [] if "-o" in words else ["-o", str(answer)]
        command = [*words, "-s", "-w", "%{http_code}", *named]
        done = subprocess.run(command, cwd=self._place, capture_output=True, text=True, check=True, timeout=180)
        self._remember(words, answer)
        return int(done.stdout)

    def _own(self, word: str) -> str:
        encoded = base64.b64encode((self._place / "a.png").read_bytes()).decode()
        for name, own in {
            "http://127.0.0.1:8080": self._url,
            "localhost:8080": self._url.removeprefix("http://"),
            "/srv/uploads": str(self._place / "uploads"),
            '"…"': f'"{self._detected}"',
            '"cat"': '"3"',
            "BASE64": encoded,
            "SUBSTITUTED": encoded,
        }.items():
            word = word.replace(name, own)
        return re.sub(r"\bID\b", self._audit, word)

    def _remember(self, words: list[str], answer: Path) -> None:
        if "/v1/detect" in words[-1] and "candidate" not in words[-1]:
            self._detected = json.loads(answer.read_text())["request_id"]
        if words[-1].endswith("/v1/audits") and (given := json.loads(answer.read_text())).get("id"):
            self._audit = given["id"]
            self._wait()

    def _wait(self) -> None:
        end = time.monotonic() + 180
        address = f"{self._url}/v1/audits/{self._audit}"
        while httpx.get(address, timeout=30).json()["state"] in {"queued", "running"}:
            assert time.monotonic() < end, "the audit does not end"
            time.sleep(0.1)


def curl_commands(page: str) -> Iterator[list[str]]:
    for block in blocks((ROOT / page).read_text(encoding="utf-8")):
        if block.language in SHELL:
            words = (command.words for command in parse(block.text))
            yield from (one for one in words if one[:1] == ["curl"] and PROMETHEUS not in " ".join(one))


def test_what_the_pages_ask_the_service_is_answered(server: Any, place: Path) -> None:
    reader, asked = Reader(server, place), 0
    for page in PAGES:
        for words in curl_commands(page):
            status = reader.ask(words)
            # The audit was deleted one line above.
            expected = {404, 409} if words[-1].endswith("/resume") else {200, 201, 202, 204}
            assert status in expected, (page, words, (place / "answer").read_text())
            asked += 1
    assert asked > 15
    with zipfile.ZipFile(place / "feedback.zip") as archive:
        assert "feedback.jsonl" in archive.namelist()


def test_what_the_pages_do_in_python_works(server: Any, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    texts = [block.text for block in blocks((ROOT / "service/README.md").read_text()) if block.language == "python"]
    assert len(texts) == 2
    image = load_digits_images()[1].images[:1].numpy().astype(np.float32) / 255
    names: dict[str, Any] = {"array": image}
    for text in texts:
        own = text.replace("http://127.0.0.1:8080", server.url).replace("localhost:8080", server.url[7:])
        shape = str(list(image.shape))
        exec(compile(own.replace('"cat"', '"3"').replace("[1, 3, 32, 32]", shape), "page", "exec"), names)
    assert names["result"].as_numpy("verdict").shape == (1,)
    assert httpx.get(f"{server.url}/v1/feedback", timeout=30).json()["correct_decision"] == "clean"


def test_what_the_operations_page_looks_for_in_the_log_is_in_it(server: Any, place: Path) -> None:
    for name in ("a.png", "photo.png"):
        content, headers = (place / name).read_bytes(), {"Content-Type": "image/png"}
        httpx.post(f"{server.url}/v1/detect", content=content, headers=headers, timeout=30)
    filters = re.findall(r"jq -\w+ '([^']+)'", (ROOT / "deploy/OPERATIONS.md").read_text(encoding="utf-8"))
    assert len(filters) > 5
    end = time.monotonic() + 30
    while {"request", "verdict"} - (by_kind := {event["event"]: set(event) for event in server.events}).keys():
        assert time.monotonic() < end
        time.sleep(0.05)
    for text in filters:
        kinds = re.findall(r'\.event == "(\w+)"', text) or list(by_kind)
        known = set().union(*(by_kind[kind] for kind in kinds)) | {"event"}
        assert set(re.findall(r"\.([a-z_]+)", text)) <= known, text
