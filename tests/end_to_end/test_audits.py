"""Audits on the real server: it is killed in the middle of one, and another goes on."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

N_IMAGES = 1000


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    folder = tmp_path / "digits"
    folder.mkdir()
    for index, pixels in enumerate(load_digits().images[:N_IMAGES]):
        Image.fromarray((pixels * (255 / 16)).round().astype(np.uint8)).save(folder / f"{index:04}.png")
    return folder


def lines(url: str, audit_id: str) -> list[str]:
    text = httpx.get(f"{url}/v1/audits/{audit_id}/results", params={"limit": 10_000}, timeout=30).text
    return text.splitlines()


def verdict_lines(log: Path, audit_id: str) -> list[int]:
    """Positions of the verdicts that a server has written to its audit log."""
    written = (json.loads(line) for line in log.read_text().splitlines())
    return [line["index"] for line in written if line.get("request_id") == f"audit-{audit_id}"]


@pytest.mark.slow
def test_an_audit_outlives_its_server_and_loses_and_repeats_nothing(running_server, digits, tmp_path) -> None:
    # Of two equal flags the last one counts.
    flags = ("--audit-folder", str(digits), "--state", str(tmp_path / "state"))
    # One image at a time it takes seconds from its first results to its last ones.
    first = running_server(*flags, "--batch-images", "1")
    audit_id = httpx.post(f"{first.url}/v1/audits", json={"folder": str(digits)}, timeout=30).json()["id"]
    while httpx.get(f"{first.url}/v1/audits/{audit_id}", timeout=30).json()["counts"]["judged"] == 0:
        pass
    before = lines(first.url, audit_id)
    assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    assert 0 < len(before) < N_IMAGES

    second = running_server(*flags, "--batch-images", "16")
    while (audit := httpx.get(f"{second.url}/v1/audits/{audit_id}", timeout=30).json())["state"] != "done":
        assert audit["state"] in ("queued", "running")
    after = lines(second.url, audit_id)
    assert after[: len(before)] == before
    assert [json.loads(line)["path"] for line in after] == [f"{index:04}.png" for index in range(N_IMAGES)]
    assert audit["counts"]["judged"] == N_IMAGES
    assert audit["counts"]["flagged"] == sum(json.loads(line)["decision"] == "adversarial" for line in after)
    again = verdict_lines(second.log, audit_id)
    assert again == list(range(again[0], N_IMAGES))
    assert again[0] >= len(before)


@pytest.mark.slow
def test_two_servers_do_not_share_a_state_folder(running_server, tmp_path) -> None:
    state = str(tmp_path / "state")
    first = running_server("--state", state)
    command = [str(Path(sys.executable).with_name("isthmus")), "serve", "--bundle", "digits", "--port", "0"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ISTHMUS_")}
    second = subprocess.run(
        [*command, "--state", state], capture_output=True, text=True, env=environment, check=False, timeout=180
    )
    assert second.returncode == 2
    assert f"used by another server (process {first.process.pid})" in " ".join(second.stderr.split())
