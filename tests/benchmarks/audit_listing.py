"""What listing many tiny files costs: images a second, seconds to the first, and the memory that it takes.

Each listing is a process of its own. The same files lie in one folder, and spread over folders of a hundred; the
smaller number shows how memory grows.

    python tests/benchmarks/audit_listing.py --images 200000 --out audit_listing.json
"""

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

LIST = """
import json, resource, sys, time
from service.offline.sources.opening import open_source
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
before, wall, processor, first, n_images = peak(), time.perf_counter(), time.process_time(), None, 0
for item in open_source(sys.argv[1], allow_urls=False).items(lambda: None):
    first = time.perf_counter() - wall if first is None else first
    n_images += 1
seconds = time.process_time() - processor
print(json.dumps({"images": n_images, "first_after_seconds": first, "seconds": time.perf_counter() - wall,
    "processor_seconds": seconds, "images_per_processor_second": n_images / seconds, "mib": peak() - before}))
"""

LAYOUTS: dict[str, Callable[[int], str]] = {
    "one folder": lambda number: f"{number:09}.png",
    "folders of a hundred": lambda number: f"{number // 100:07}/{number:09}.png",
}


def write_files(root: Path, n_images: int, name: Callable[[int], str]) -> None:
    numbers = list(range(n_images))
    # Folders list files in an order that has to do with when they came.
    random.Random(0).shuffle(numbers)
    for number in numbers:
        path = root / name(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def measure(n_images: int) -> list[dict[str, Any]]:
    rows = []
    for layout, name in LAYOUTS.items():
        for n_files in (n_images // 10, n_images):
            with tempfile.TemporaryDirectory() as folder:
                write_files(Path(folder), n_files, name)
                run = subprocess.run([sys.executable, "-c", LIST, folder], capture_output=True, text=True, check=True)
            rows.append({"layout": layout, **json.loads(run.stdout)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    report = {"processor": platform.processor(), "cores": os.cpu_count(), "rows": measure(arguments.images)}
    text = json.dumps(report, indent=1)
    Console().print_json(text)
    if arguments.out is not None:
        arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
