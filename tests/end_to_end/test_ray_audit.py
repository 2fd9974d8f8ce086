"""Audits on a Ray cluster of this machine, whose workers are killed on the way."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from sklearn.datasets import load_digits

ISTHMUS = str(Path(sys.executable).with_name("isthmus"))

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
"""Workers of a cluster have one thread each; the last digits of scores follow the number of threads."""

N_COPIES = 2

NOT_THE_SAME = {"timings", "run.json", "audit.lock"}

POISON = """
import json, os, signal, sys
from service.bundles import ClassifierChoice, digest_of
from service.errors import EngineError, InputError
from service.offline.cluster import ray_crew
from service.offline.cluster.ray_actor import RayWorker
from service.offline.cluster.ray_cluster import require_ray
from service.offline.cluster.ray_engine import RayEngine
from service.offline.sources.opening import open_source
from service.offline.work import Shard, WorkerSettings

class Killer(RayWorker):
    def judge(self, shard):
        if shard.items[0].path == "0032.png":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().judge(shard)

ray_crew.RayWorker = Killer
for attempt in range(3):
    try:
        require_ray().init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=2**27)
        break
    except Exception as error:  # of a busy machine: its processes have half a minute to come up
        if attempt == 2 or "timed out" not in str(error):
            raise
        require_ray().shutdown()
source = open_source(sys.argv[1], allow_urls=False)
items = list(source.items(lambda: None))[:96]
shards = [Shard(number=n, items=items[16 * n : 16 * n + 16]) for n in range(6)]

def outcome(digest):
    settings = WorkerSettings(
        bundle="digits", bundle_digest=digest, choice=ClassifierChoice(device="cpu"), false_positive_rate=0.05,
        columns=source.columns, chunk_images=16,
    )
    engine, judged = RayEngine(settings, n_workers=2), []
    try:
        for shard in engine.judge(iter(shards), lambda tick: None):
            judged.append(shard.number)
        return {"judged": judged}
    except (EngineError, InputError) as error:
        return {"judged": judged, "error": type(error).__name__, "text": str(error)}
    finally:
        engine.close()

print(json.dumps([outcome(digest_of("digits")), outcome("0" * 64)]))
"""


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    folder = tmp_path / "digits"
    folder.mkdir()
    images = load_digits().images
    for index in range(len(images) * N_COPIES):
        pixels = (images[index % len(images)] * (255 / 16)).round().astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:04}.png")
    (folder / "0100.png").write_bytes(b"no image")
    return folder


def command(images: Path, out: Path, *flags: str) -> list[str]:
    options = ["--bundle", "digits", "--device", "cpu", "--shard-size", "64", "--json"]
    return [ISTHMUS, "audit", "--images", str(images), "--out", str(out), *options, *flags]


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder): path for path in files}
    return {str(name): path.read_bytes() for name, path in names.items() if name.parts[0] not in NOT_THE_SAME}


def ray_workers(driver: int) -> list[psutil.Process]:
    """Processes of the actors of a cluster that another process has started."""
    found = psutil.Process(driver).children(recursive=True)
    return [process for process in found if "".join(process.cmdline()).startswith("ray::RayWorker")]


@pytest.mark.slow
def test_a_worker_killed_on_the_way_changes_no_byte_of_what_is_written(digits: Path, tmp_path: Path) -> None:
    alone, together = tmp_path / "alone", tmp_path / "together"
    subprocess.run(command(digits, alone), env=ENVIRONMENT, check=True, capture_output=True, timeout=300)

    log = tmp_path / "log.txt"
    with log.open("w") as errors:
        driver = subprocess.Popen(
            command(digits, together, "--engine", "ray", "--workers", "2"),
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    events = []
    with driver.stdout:
        for line in driver.stdout:
            # Ray tells of dead workers on stdout unless it is kept from that.
            events.append(json.loads(line))
            if events[-1]["event"] == "shard" and sum(event["event"] == "shard" for event in events) == 1:
                started = psutil.Process(driver.pid).children(recursive=True)
                ray_workers(driver.pid)[0].send_signal(signal.SIGKILL)
    assert driver.wait(180) == 0, log.read_text()
    assert log.read_text().count("was lost and is replaced") == 1
    assert events[-1]["counts"]["n_images"] == len(load_digits().images) * N_COPIES
    done = [event["images_done"] for event in events if event["event"] == "progress"]
    assert done == sorted(done)
    assert content(together) == content(alone)
    # What was started for the audit is gone with it.
    gone, left = psutil.wait_procs(started, timeout=90)
    assert gone
    assert not left


@pytest.mark.slow
def test_a_shard_that_kills_workers_is_named_and_a_users_mistake_comes_as_it_is(digits: Path, tmp_path: Path) -> None:
    script = tmp_path / "poison.py"
    script.write_text(POISON)
    arguments = [sys.executable, str(script), str(digits)]
    run = subprocess.run(arguments, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=600)
    assert run.returncode == 0, run.stderr
    poisoned, mistaken = json.loads(run.stdout.splitlines()[-1])
    assert poisoned["error"] == "EngineError"
    assert poisoned["text"].startswith("shard 2 (16 images from 0032.png to 0047.png) failed 3 times, at last with: ")
    assert "died" in poisoned["text"]
    assert 2 not in poisoned["judged"]
    assert len(poisoned["judged"]) == len(set(poisoned["judged"]))
    assert run.stderr.count("was lost and is replaced") == 3
    assert mistaken["judged"] == []
    assert mistaken["error"] == "InputError"
    assert "give every worker the same files" in mistaken["text"]
