"""What an audit costs beside calling the detector on images that are decoded already: the share of its speed.

In each round the detector judges decoded images for a while, and then `isthmus audit` judges the same files: listing,
reading, decoding, results on the disk. Both in one process, with the same threads; opening the detector, the summary
and the report are left out on the one side, decoding on the other. Of files there must be enough for shards to reach
their full size, or the last ones of each round count too much.

    python tests/benchmarks/audit_throughput.py --bundle cifar10-resnet20 --images FOLDER --limit 2000

Where decoding alone takes so much of the cores that the goal cannot be reached, the bound says so: with `d`
core-seconds of decoding and `t` seconds of the detector for an image, `c` cores that the detector keeps busy judge at
`t / (t + d / c)` of its speed at best.
"""

import argparse
import contextlib
import io
import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from detector.types import to_pixels
from service.audits.sources import is_image_name
from service.bundles import ClassifierChoice, OpenedDetector, open_detector
from service.images import read_image
from service.offline.audit_request import AuditRequest
from service.offline.auditing import run_audit

console = Console(width=120)


def inspect_seconds(opened: OpenedDetector, images: torch.Tensor, size: int) -> float:
    """Seconds for each image, given to the detector in blocks of so many."""
    begun = time.perf_counter()
    for block in images.split(size):
        opened.detector.inspect(to_pixels(block, device=opened.detector.classifier.device))
    return (time.perf_counter() - begun) / len(images)


def audit_seconds(request: AuditRequest) -> tuple[float, float]:
    """Seconds for each image while images are judged, and with everything before and after."""
    begun = time.perf_counter()
    # What it says is not what is measured here, but is done all the same.
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        if run_audit(request):
            raise RuntimeError(f"the audit in {request.out} failed")
    whole = time.perf_counter() - begun
    run = json.loads((request.out / "run.json").read_text())["runs"][-1]
    return run["seconds_judging"] / run["images_judged"], whole / run["images_judged"]


def decode_seconds(opened: OpenedDetector, files: Sequence[Path]) -> float:
    """Core-seconds for each image, in one thread."""
    begun = time.thread_time()
    for file in files:
        read_image(file, opened.preprocessing)
    return (time.thread_time() - begun) / len(files)


def copy_all(files: Sequence[Path], folder: Path) -> None:
    """The same files in one folder: an audit takes all of it."""
    for number, file in enumerate(files):
        shutil.copy(file, folder / f"{number:06}{file.suffix}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", default="cifar10-resnet20")
    parser.add_argument(
        "--classifier", help="registered name or SPEC.toml, where the bundle's own name says too little"
    )
    parser.add_argument("--images", type=Path, required=True, help="folder of image files, of any depth")
    parser.add_argument("--limit", type=int, default=2000, help="images of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="of torch; by default it decides")
    parser.add_argument("--readers", type=int)
    parser.add_argument("--shard-size", type=int, default=1024)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    files = sorted(file for file in arguments.images.rglob("*") if is_image_name(file.name))[: arguments.limit]
    choice = ClassifierChoice(name_or_spec=arguments.classifier)
    opened = open_detector(arguments.bundle, false_positive_rate=0.05, choice=choice)
    images = torch.stack([read_image(file, opened.preprocessing) for file in files])
    with Image.open(files[0]) as first:
        kind = f"{first.format}, {first.width} × {first.height}"
    n_cores = len(os.sched_getaffinity(0))
    console.print(
        f"{arguments.bundle}: {len(files)} images a round ({kind}), {torch.get_num_threads()} threads of torch, "
        f"{arguments.readers or n_cores} that decode, {n_cores} cores"
    )
    # The first call takes longer than those behind it.
    opened.detector.inspect(to_pixels(images[:16], device=opened.detector.classifier.device))
    decoding = decode_seconds(opened, files[:500])
    table = Table(
        "round", "inspect, images/s", "audit, images/s", "share", "bound by decoding", "with all else, images/s"
    )
    shares = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "images"
        folder.mkdir()
        copy_all(files, folder)
        for number in range(arguments.rounds):
            request = AuditRequest(
                bundle=arguments.bundle,
                images=str(folder),
                out=Path(name) / f"audit-{number}",
                choice=choice,
                n_readers=arguments.readers,
                shard_size=arguments.shard_size,
            )
            inspecting = inspect_seconds(opened, images, 256)
            judging, whole = audit_seconds(request)
            shares.append(inspecting / judging)
            bound = inspecting / (inspecting + decoding / n_cores)
            figures = (1 / inspecting, 1 / judging, shares[-1], bound, 1 / whole)
            formats = ("{:.1f}", "{:.1f}", "{:.1%}", "{:.1%}", "{:.1f}")
            table.add_row(str(number), *(form.format(figure) for form, figure in zip(formats, figures, strict=True)))
    console.print(table)
    console.print(
        f"median share {median(shares):.1%}; decoding takes {decoding * 1e3:.2f} core-milliseconds an image, "
        f"the detector {inspecting * 1e3:.2f} ms"
    )


if __name__ == "__main__":
    main()
