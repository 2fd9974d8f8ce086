"""Whether the server's memory stays flat: over many small requests, and over clients that go before their answer.

The slope is that of a least-squares line through the resident memory, after a warm-up that is left out.

    python tests/benchmarks/soak.py --requests 100000 --disconnects 1000 --out soak.json
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from http_load import Connection, Target
from rich.console import Console
from rich.progress import Progress
from server_process import Server, serving
from serving import png_requests

from models.digits import load_digits_images

SAMPLES = 200


async def _clients(server: Server, requests: list[bytes], n_requests: int, n_clients: int) -> dict[str, Any]:
    codes: Counter[int] = Counter()
    memory: list[tuple[int, int]] = []
    left = iter(range(n_requests))
    with Progress() as bars:
        bar = bars.add_task("small requests", total=n_requests)

        async def client() -> None:
            connection = Connection(server.target)
            for index in left:
                codes[await connection.ask(requests[index % len(requests)])] += 1
                if index % (n_requests // SAMPLES) == 0:
                    memory.append((index, server.resident_bytes()))
                    bars.update(bar, completed=index)
            await connection.close()

        begun = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(n_clients)))
    return {
        "requests": n_requests,
        "codes": {str(code): n for code, n in codes.items()},
        "requests_per_second": n_requests / (time.perf_counter() - begun),
        **_slope(memory, per=100_000),
    }


def _slope(memory: list[tuple[int, int]], per: int) -> dict[str, float]:
    settled = np.array(memory[len(memory) // 5 :], dtype=float)
    slope, _ = np.polyfit(settled[:, 0], settled[:, 1], 1)
    return {
        "first_mib": settled[0, 1] / 2**20,
        "last_mib": settled[-1, 1] / 2**20,
        f"slope_mib_per_{per}": slope * per / 2**20,
    }


async def _gone_clients(server: Server, target: Target, request: bytes, n: int) -> dict[str, Any]:
    memory = []
    for index in range(n):
        _, writer = await asyncio.open_connection(target.host, target.port)
        # A third goes amid the body, a third at once after it, a third a little later.
        writer.write(request[: len(request) // 2] if index % 3 == 0 else request)
        await writer.drain()
        await asyncio.sleep(0.005 if index % 3 == 2 else 0)
        writer.transport.abort()
        memory.append((index, server.resident_bytes()))
    return {"disconnects": n, **_slope(memory, per=1000)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--disconnects", type=int, default=1_000)
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    requests = png_requests(load_digits_images()[1].images[:64])
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), "--bundle", "digits") as server:
        report = {
            "small requests": asyncio.run(_clients(server, requests, arguments.requests, arguments.clients)),
            "gone clients": asyncio.run(_gone_clients(server, server.target, requests[0], arguments.disconnects)),
        }
        time.sleep(1)
        report["after"] = {
            "ready": httpx.get(f"{server.url}/v2/health/ready").status_code,
            "queue": httpx.get(f"{server.url}/v1/stats").json()["queue"],
        }
    Console().print_json(json.dumps(report))
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
