"""What an audit costs beside judging: seconds and bytes an image of listing, sending and writing, all in one process.

That process is one, however many workers there are, so its images a second are the most that a cluster can do for one
audit. The rows are real, of `--judged` images; the files of each shard are compressed apart, so that their sizes are
those of an audit, though shards repeat the same rows.

    python tests/benchmarks/audit_driver.py --images test.npz --out audit_driver.json
"""

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from audit_ray import write_images
from rich.console import Console

from service.bundles import ClassifierChoice, open_bundle
from service.offline.audit_request import AuditRequest
from service.offline.cluster.ray_cluster import require_ray
from service.offline.contracting import contract_of, worker_settings
from service.offline.folder.audit_folder import AuditFolder
from service.offline.judging.worker import ShardWorker
from service.offline.sources.opening import open_source
from service.offline.work import JudgedShard, Shard


def bytes_below(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def link_images(real: Path, folder: Path, n_images: int) -> None:
    """As many files as are asked for, in folders of a thousand."""
    files = sorted(real.iterdir())
    for index in range(n_images):
        place = folder / f"{index // 1000:05}"
        place.mkdir(exist_ok=True)
        os.link(files[index % len(files)], place / f"{index:08}.png")


def clocks() -> tuple[float, float]:
    """Seconds of the wall, and of the processor for this process."""
    return time.perf_counter(), time.process_time()


def per_image(begun: tuple[float, float], n_images: int) -> dict[str, float]:
    wall, processor = (1e6 * (now - before) / n_images for now, before in zip(clocks(), begun, strict=True))
    return {"microseconds": wall, "processor_microseconds": processor}


def measure(real: Path, images: Path, out: Path, bundle_name: str) -> dict[str, Any]:
    request = AuditRequest(bundle=bundle_name, images=str(images), out=out, choice=ClassifierChoice(device="cpu"))
    bundle, source = open_bundle(bundle_name), open_source(str(images), allow_urls=False)
    contract = contract_of(request, bundle, source)
    worker = ShardWorker.open(worker_settings(request, contract, source))
    items = list(open_source(str(real), allow_urls=False).items(lambda: None))
    judged = worker.judge(Shard(number=0, items=items), lambda _tick: None)
    worker.close()

    folder, dumps = AuditFolder(out), require_ray().cloudpickle.dumps
    with folder.locked():
        folder.begin(contract)
        begun = clocks()
        shards = list(folder.shards(source, len(items), lambda: None))
        whole = [shard for shard in shards if len(shard.items) == len(items)]
        n_listed, n_images = sum(len(shard.items) for shard in shards), len(whole) * len(items)
        costs = {"listing": per_image(begun, n_listed)}
        begun = clocks()
        sent = sum(len(dumps(shard)) for shard in whole)
        costs["sending"] = per_image(begun, n_images)
        begun = clocks()
        for shard in whole:
            folder.write(JudgedShard(number=shard.number, results=judged.results, timings=judged.timings))
        costs["writing"] = per_image(begun, n_images)
    return {
        "images": n_images,
        "shard_images": len(items),
        "costs": costs,
        "most_images_per_second": 1e6 / sum(cost["microseconds"] for cost in costs.values()),
        "listing_bytes_an_image": bytes_below(out / "listing") / n_listed,
        "sent_bytes_an_image": sent / n_images,
        "returned_bytes_an_image": len(dumps(judged)) / len(items),
        "written_bytes_an_image": {name: bytes_below(out / name) / n_images for name in ("results", "timings", "done")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", default="cifar10-resnet20")
    parser.add_argument("--images", default="test.npz", help="an image set, as isthmus evaluate takes it")
    parser.add_argument("--judged", type=int, default=1024, help="images that are judged, and images of a shard")
    parser.add_argument("--listed", type=int, default=50_000, help="files that are listed")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folders = {part: Path(name) / part for part in ("real", "images")}
        for folder in folders.values():
            folder.mkdir()
        write_images(arguments.images, arguments.bundle, folders["real"], arguments.judged)
        link_images(folders["real"], folders["images"], arguments.listed)
        result = measure(folders["real"], folders["images"], Path(name) / "out", arguments.bundle)
    result |= {"bundle": arguments.bundle, "cores": os.cpu_count(), "platform": platform.platform()}
    Console().print_json(data=result)
    if arguments.out is not None:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
