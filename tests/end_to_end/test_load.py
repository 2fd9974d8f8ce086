"""The load test of `deploy/load` against the real server, for a moment."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from models.digits import load_digits_images

pytestmark = pytest.mark.slow

RUN = Path(__file__).parents[2] / "deploy" / "load" / "run.py"


def test_the_load_test_counts_every_image_it_sent_to_the_real_server(
    running_server: Callable[..., object], tmp_path: Path
) -> None:
    keys, folder, out = tmp_path / "keys", tmp_path / "images", tmp_path / "load.json"
    keys.write_text("load:0123456789abcdef0123456789abcdef\n")
    folder.mkdir()
    for index, image in enumerate(load_digits_images()[1].images[:16]):
        Image.fromarray(image[0].numpy()).save(folder / f"{index}.png")
    server = running_server("--keys-file", str(keys))
    command = [sys.executable, str(RUN), "--url", server.url, "--images", str(folder), "--out", str(out)]
    short = ["--clients", "8", "--capacity-seconds", "2", "--seconds", "3"]
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}

    done = subprocess.run(
        [*command, *short, "--key-file", str(keys)], capture_output=True, text=True, check=False, env=variables
    )

    # Whether a busy machine meets the marks is not asked here; what was sent and what came back is.
    assert (done.returncode in {0, 1, 2}, done.stderr) == (True, "")
    report = json.loads(out.read_text())
    assert report["capacity"]["images_per_second"] > 0
    for stage in report["stages"]:
        assert sum(stage["codes"].values()) == stage["images"] > 0
        assert set(stage["codes"]) <= {"200", "429"}
        assert (stage["failed"], stage["late"], stage["liveness"]["not_live"]) == (0, 0, 0)
    until = time.monotonic() + 30
    while sum(event["event"] == "verdict" for event in server.events) < report["stages"][0]["codes"]["200"]:
        assert time.monotonic() < until
        time.sleep(0.1)
    refused = subprocess.run([*command, *short], capture_output=True, text=True, check=False, env=variables)
    assert refused.returncode == 2
    assert "--key-file" in refused.stderr
