"""An audit that is killed again and again ends with the same bytes as one that nobody disturbs."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from models.digits import load_digits_images

N_KILLS = 20
SEED = 7


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """The 1,797 scans in folders of their labels; among them a broken image and a file that is none."""
    folder = tmp_path / "digits"
    for part, data in zip(("trained", "held-out"), load_digits_images(), strict=True):
        for number, (image, label) in enumerate(zip(data.images, data.labels.tolist(), strict=True)):
            file = folder / part / str(label) / f"{number:03}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0].numpy()).save(file)
    (folder / "trained" / "3" / "broken.png").write_bytes(b"no image")
    (folder / "trained" / "notes.txt").write_text("nothing")
    return folder


class Audit:
    """`isthmus audit` of one source into one folder, in a process of its own each time."""

    def __init__(self, source: Path, out: Path) -> None:
        self.out = out
        flags = ["--bundle", "digits", "--images", str(source), "--out", str(out), "--shard-size", "64"]
        self._command = [str(Path(sys.executable).with_name("isthmus")), "audit", *flags]
        self._command += ["--device", "cpu", "--pictures", "4"]

    def finish(self) -> None:
        """Let a run come to its end."""
        subprocess.run(self._command, check=True, capture_output=True)

    def kill(self, n_done: int, seconds: float) -> bool:
        """Kill a run so long after so many shards were done; whether it was still there to be killed."""
        with subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            self._wait_until_held(process)
            while process.poll() is None and self.n_done() < n_done:
                time.sleep(0.002)
            time.sleep(seconds)
            process.send_signal(signal.SIGKILL)
            _, said = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL), said.decode()
        return process.returncode != 0

    def seconds_to_sum_up(self) -> float:
        """Let a run come to its end; how long it took behind its last shard."""
        self.finish()
        last = max(path.stat().st_mtime for path in (self.out / "done").iterdir())
        return (self.out / "run.json").stat().st_mtime - last

    def _wait_until_held(self, process: subprocess.Popen[bytes]) -> None:
        lock, ours = self.out / "audit.lock", f"process {process.pid} on ".encode()
        while process.poll() is None and not (lock.exists() and lock.read_bytes().startswith(ours)):
            time.sleep(0.005)

    def n_done(self) -> int:
        """How many shards are done."""
        return len(list((self.out / "done").glob("*.json")))

    def tree(self) -> dict[str, bytes]:
        """Every file but those of times and machines."""
        files = (path.relative_to(self.out) for path in self.out.rglob("*") if not path.is_dir())
        kept = (path for path in files if path.parts[0] not in ("timings", "run.json"))
        return {os.fspath(path): (self.out / path).read_bytes() for path in kept}

    def verify(self) -> None:
        """Have the command look for damage itself."""
        command = [self._command[0], "audit", "--verify", str(self.out)]
        subprocess.run(command, check=True, capture_output=True)


@pytest.mark.slow
def test_an_audit_that_is_killed_at_twenty_moments_ends_as_an_undisturbed_one(tmp_path: Path, digits: Path) -> None:
    calm = Audit(digits, tmp_path / "undisturbed")
    seconds, expected, n_shards = calm.seconds_to_sum_up(), calm.tree(), calm.n_done()
    assert {"summary.json", "report.html", "discoveries.parquet"} < expected.keys()
    randomness, n_kills, n_between, n_audits = random.Random(SEED), 0, 0, 0
    while n_kills < N_KILLS:
        n_audits += 1
        audit = Audit(digits, tmp_path / f"killed-{n_audits}")
        # While shards are written some of them further each time, and then anywhere in what comes behind.
        while n_kills < N_KILLS and audit.kill(*moment(randomness, audit.n_done(), n_shards, seconds)):
            n_kills += 1
            n_between += 0 < audit.n_done() < n_shards
        audit.finish()
        assert audit.tree() == expected
        audit.verify()
    # Many of them came while shards were being written.
    assert n_between >= N_KILLS // 4


def moment(randomness: random.Random, n_done: int, n_shards: int, seconds: float) -> tuple[int, float]:
    """How many shards a run has finished when it is killed, and how many seconds later that is."""
    n_next = n_done + randomness.randint(0, 10)
    if n_next >= n_shards:
        return n_shards, randomness.uniform(0, seconds)
    return n_next, randomness.uniform(0, 0.1)
