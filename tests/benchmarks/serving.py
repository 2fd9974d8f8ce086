"""What the REST service costs beside calling the detector, and what it keeps of its promises under too much load.

Four figures, each a ratio or a time measured in one run: throughput of many clients as a share of the in-process
`Detector.inspect`; latency that a lone request adds; goodput at twice the capacity, with the times of refusals and of
the health checks meanwhile; and whether every accepted request is answered when the server is told to stop.

    python tests/benchmarks/serving.py --images test.npz --out serving.json
"""

import argparse
import asyncio
import gc
import io
import json
import os
import platform
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Any

import torch
from http_load import (
    BROKEN,
    NOBODY,
    Connection,
    Reply,
    Target,
    closed_loop,
    evenly,
    open_loop,
    quantile,
    request_bytes,
    watched,
)
from PIL import Image
from rich.console import Console
from rich.table import Table
from server_process import Server, serving

from detector.types import Images, to_pixels
from service.bundles import ClassifierChoice, OpenedDetector, open_detector
from service.imagesets import load_image_set

HEALTH = request_bytes("GET", "/v2/health/live")
LONE_REQUESTS = 200


def png_requests(images: torch.Tensor) -> list[bytes]:
    """One request an image, the image as PNG."""
    requests = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image.permute(1, 2, 0).squeeze(-1).numpy()).save(file, "PNG")
        requests.append(request_bytes("POST", "/v1/detect", file.getvalue(), "image/png"))
    return requests


def in_process_rate(opened: OpenedDetector, pixels: Images, seconds: float) -> float:
    """Images a second of `Detector.inspect`, called with one step's worth at a time."""
    size, done, begun = opened.detector.images_per_step, 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        opened.detector.inspect(pixels[:size])
        done += size
    return done / (time.perf_counter() - begun)


async def lone_seconds(target: Target, opened: OpenedDetector, images: torch.Tensor) -> tuple[list[float], list[float]]:
    """Times of judging one image in process and of a request of its own, in turn, on one connection."""
    connection, inside, outside = Connection(target), [], []
    for image, request in zip(to_pixels(images), png_requests(images), strict=True):
        begun = time.perf_counter()
        opened.detector.inspect(image[None])
        halfway = time.perf_counter()
        status = await connection.ask(request)
        outside.append(time.perf_counter() - halfway)
        inside.append(halfway - begun)
        if status != 200:
            raise RuntimeError(f"a lone request was answered with {status}")
    await connection.close()
    return inside, outside


def throughput(server: Server, opened: OpenedDetector, images: torch.Tensor, arguments: Any) -> dict[str, Any]:
    """Both ways in turn, so that a machine that slows down slows both."""
    pixels, requests = to_pixels(images), png_requests(images)
    inside, outside = [], []
    for _ in range(arguments.rounds):
        inside.append(in_process_rate(opened, pixels, arguments.seconds / 2))
        replies = asyncio.run(
            closed_loop(server.target, requests, n_clients=arguments.clients, seconds=arguments.seconds)
        )
        outside.append(sum(reply.status == 200 for reply in replies) / arguments.seconds)
    shares = [one / other for one, other in zip(outside, inside, strict=True)]
    return {
        "clients": arguments.clients,
        "in_process_images_per_second": median(inside),
        "service_images_per_second": median(outside),
        "share": median(shares),
        "share_by_round": shares,
    }


def latency(server: Server, opened: OpenedDetector, images: torch.Tensor) -> dict[str, Any]:
    """A lone request against the same image in process, at the median of the differences."""
    inside, outside = asyncio.run(lone_seconds(server.target, opened, images[:LONE_REQUESTS]))
    return {
        "in_process_ms": 1e3 * median(inside),
        "service_ms": 1e3 * median(outside),
        "added_ms": 1e3 * median(other - one for one, other in zip(inside, outside, strict=True)),
    }


def overload(server: Server, capacity: float, images: torch.Tensor, factor: float, seconds: float) -> dict[str, Any]:
    """Open-loop load at some multiple of the capacity measured before."""
    work = open_loop(server.target, png_requests(images), moments=evenly(per_second=factor * capacity, seconds=seconds))
    replies, watch = asyncio.run(watched(server.target, HEALTH, work))
    elapsed, probes = watch.seconds, watch.liveness
    accepted = [reply.seconds for reply in replies if reply.status == 200]
    refused = [reply.seconds for reply in replies if reply.status == 429]
    return {
        "factor": factor,
        "seconds": elapsed,
        "codes": {str(code): n for code, n in sorted(Counter(reply.status for reply in replies).items())},
        "goodput_share_of_capacity": len(accepted) / elapsed / capacity,
        "accepted_p50_s": quantile(accepted, 0.5),
        "accepted_p99_s": quantile(accepted, 0.99),
        "refused_p50_ms": 1e3 * quantile(refused, 0.5),
        "refused_p99_ms": 1e3 * quantile(refused, 0.99),
        "liveness_p50_ms": 1e3 * quantile(probes, 0.5),
        "liveness_p99_ms": 1e3 * quantile(probes, 0.99),
        "liveness_max_ms": 1e3 * max(probes),
    }


def stop_under_load(server: Server, capacity: float, images: torch.Tensor) -> dict[str, Any]:
    """SIGTERM amid a load that it can bear; a request that was begun before is answered, others find nobody."""

    async def run() -> list[Reply]:
        work = asyncio.create_task(
            open_loop(server.target, png_requests(images), moments=evenly(per_second=0.8 * capacity, seconds=6.0))
        )
        await asyncio.sleep(3.0)
        os.kill(server.process.pid, signal.SIGTERM)
        return await work

    replies = asyncio.run(run())
    codes = Counter(reply.status for reply in replies)
    return {
        "answered": codes[200],
        "broken_before_the_answer": codes[BROKEN],
        "found_nobody": codes[NOBODY],
        "exit_code": server.process.wait(timeout=60),
    }


def show(report: dict[str, Any]) -> None:
    """One row a figure."""
    table = Table("what", "figure")
    for part, figures in report.items():
        if isinstance(figures, dict):
            for name, value in figures.items():
                table.add_row(f"{part}: {name}", f"{value:.3f}" if isinstance(value, float) else str(value))
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True, help="an image set, as isthmus takes it")
    parser.add_argument("--bundle", default="cifar10-resnet20")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement of throughput")
    parser.add_argument("--overload-seconds", type=float, default=60.0)
    parser.add_argument("--factors", type=float, nargs="*", default=[0.5, 1.0, 2.0])
    parser.add_argument("--threads", type=int, default=1, help="of one computation, in process and in the server")
    parser.add_argument("--flag", action="append", default=[], help="passed on to isthmus serve; repeatable")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    opened = open_detector(arguments.bundle, false_positive_rate=0.05, choice=ClassifierChoice())
    images = load_image_set(arguments.images, opened.preprocessing, labels=opened.labels, limit=256).images
    # Pauses of this process would be taken for pauses of the server.
    gc.collect()
    gc.freeze()
    flags = ["--bundle", arguments.bundle, "--threads", str(arguments.threads), *arguments.flag]
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), *flags) as server:
        report: dict[str, Any] = {
            "machine": {"processor": platform.machine(), "cpus": os.cpu_count(), "threads": arguments.threads},
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
            "throughput": throughput(server, opened, images, arguments),
            "latency": latency(server, opened, images),
        }
        capacity = report["throughput"]["service_images_per_second"]
        for factor in arguments.factors:
            seconds = arguments.overload_seconds if factor > 1 else 10.0
            report[f"load {factor}"] = overload(server, capacity, images, factor, seconds)
        report["stop"] = stop_under_load(server, capacity, images)
    show(report)
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
