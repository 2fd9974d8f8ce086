"""Whether the memory of an audit depends on how many images it is of, and when its first results are there.

Real processes audit folders of N and of ten times as many pictures of digits, every one of them different: noise is
added to the digits that scikit-learn brings. The peak is the largest resident memory of a process in all of its life,
summary and report included.

    python tests/benchmarks/audit_memory.py --images 2000
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits

IMAGES_A_FOLDER = 1000

console = Console(width=120)


def write_pictures(folder: Path, n_images: int) -> None:
    """Digits with noise, each in a file of its own."""
    random, digits = np.random.default_rng(0), load_digits().images * (255 / 16)
    for index in range(n_images):
        place = folder / f"{index // IMAGES_A_FOLDER:04}"
        place.mkdir(parents=True, exist_ok=True)
        noisy = digits[index % len(digits)] + random.normal(0, 4, (8, 8))
        Image.fromarray(noisy.clip(0, 255).round().astype(np.uint8)).save(place / f"{index:07}.png")


def audited(pictures: Path, out: Path, threads: int) -> tuple[float, float, float]:
    """Peak memory in MiB, seconds to the first done mark, and seconds in all, of one process."""
    command = [str(Path(sys.executable).with_name("isthmus")), "--threads", str(threads), "audit", "--bundle", "digits"]
    command += ["--images", str(pictures), "--out", str(out), "--device", "cpu"]
    begun, first = time.perf_counter(), None
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while True:
        done, status, usage = os.wait4(process.pid, os.WNOHANG)
        if first is None and any((out / "done").glob("*.json")):
            first = time.perf_counter() - begun
        if done:
            break
        time.sleep(0.01)
    if os.waitstatus_to_exitcode(status) or first is None:
        raise RuntimeError(f"the audit of {pictures} failed")
    # Linux counts in KiB.
    return usage.ru_maxrss / 1024, first, time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--images", type=int, default=2000, help="of the small folder; the large one has ten times more"
    )
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    sizes = (arguments.images, 10 * arguments.images)
    table = Table("images", "round", "peak memory, MiB", "first shard after, s", "in all, s")
    peaks: dict[int, list[float]] = {size: [] for size in sizes}
    with tempfile.TemporaryDirectory() as name:
        for size in sizes:
            write_pictures(Path(name) / str(size), size)
        for number in range(arguments.rounds):
            for size in sizes:
                out = Path(name) / f"audit-{size}-{number}"
                peak, first, whole = audited(Path(name) / str(size), out, arguments.threads)
                peaks[size].append(peak)
                table.add_row(f"{size:,}", str(number), f"{peak:.1f}", f"{first:.1f}", f"{whole:.1f}")
    console.print(table)
    small, large = (max(peaks[size]) for size in sizes)
    console.print(f"ten times the images take {large / small - 1:+.1%} memory at the peak")


if __name__ == "__main__":
    main()
