"""Time per path of the batched search, against itself one path at a time and against the paper's procedure.

The paper's procedure is our own rendering of Vrabel et al. (ICLR 2025, arXiv 2409.05800), the one that
`isthmus bench --peers` measures too. Barriers of both are measured alike, at 250 points a leg.

    python tests/benchmarks/search_speed.py --images test.npz --out search-speed.json
"""

import argparse
import dataclasses
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from detector.paths import barrier_height
from detector.search import LabelPotential, PotentialKind, SearchSettings, label_potential, search_paths
from detector.search.bypass import Bypass
from detector.search.geometry import sample_path
from detector.types import to_pixels
from models.registry import load_classifier
from service.bench.peers.papers_procedure import N_POINTS, papers_procedure
from service.imagesets import load_image_set

METHOD = Bypass(depth=3)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timed:
    """What one way took, and the barriers it reached."""

    n_paths: int
    seconds: float
    barriers: Tensor

    @property
    def per_path(self) -> float:
        return self.seconds / self.n_paths


def pairs_of(source: str, n_pairs: int, device: torch.device) -> tuple[LabelPotential, Tensor, Tensor]:
    """Pairs of correctly classified images of one label, and the cross-entropy of that label."""
    loaded = load_classifier("cifar10-resnet20", device=device)
    classifier = loaded.classifier.folded()
    data = load_image_set(source, loaded.preprocessing, labels=classifier.labels, limit=8 * n_pairs)
    pixels = to_pixels(data.images)
    with torch.no_grad():
        predicted = torch.cat([classifier(part.to(device)).logits.argmax(1).cpu() for part in pixels.split(256)])
    starts, ends, labels = [], [], []
    for label in range(len(classifier.labels)):
        of_label = ((predicted == data.labels) & (data.labels == label)).nonzero()[:, 0]
        half = len(of_label) // 2
        starts.append(of_label[:half])
        ends.append(of_label[half : 2 * half])
        labels.append(torch.full((half,), label))
    mixed = torch.randperm(sum(map(len, starts)), generator=torch.Generator().manual_seed(0))[:n_pairs]
    first, second, label = (torch.cat(part)[mixed] for part in (starts, ends, labels))
    potential = label_potential(PotentialKind.CROSS_ENTROPY, classifier, label.to(device))
    return potential, pixels[first].to(device), pixels[second].to(device)


@torch.no_grad()
def barriers_of(potential: LabelPotential, nodes: Tensor) -> Tensor:
    """Barriers at 250 points a leg of a path with one bend, whatever the path."""
    profiles = []
    for number, path in enumerate(nodes):
        points, _ = sample_path(path[None], 2 * N_POINTS)
        on_path = torch.full((2 * N_POINTS,), number, device=nodes.device)
        profiles.append(potential(points[0], on_path))
    return barrier_height(torch.stack(profiles))


def timed(n_paths: int, act: Callable[[], Tensor], measure: Callable[[Tensor], Tensor]) -> Timed:
    """Run it once; measuring what it reached is not part of the time."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    started = time.perf_counter()
    found = act()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return Timed(n_paths=n_paths, seconds=time.perf_counter() - started, barriers=measure(found).cpu())


def run(source: str, n_paths: int, n_alone: int, n_paper: int, device: torch.device) -> dict[str, Any]:
    """All three, on the first of the same pairs."""
    potential, starts, ends = pairs_of(source, n_paths, device)
    settings = SearchSettings(budget=2000, paths_at_once=n_paths)

    def searched(rows: slice) -> Tensor:
        part = dataclasses.replace(potential, labels=potential.labels[rows])
        return search_paths(part, starts[rows], ends[rows], METHOD, settings).nodes

    def one_by_one() -> Tensor:
        return torch.cat([searched(slice(number, number + 1)) for number in range(n_alone)])

    def paper() -> Tensor:
        bends = papers_procedure(potential, starts[:n_paper], ends[:n_paper]).bends
        return torch.stack([starts[:n_paper], bends, ends[:n_paper]], 1)

    searched(slice(0, 8))  # the first passes of a process are slower
    ways = {
        "batched": timed(n_paths, lambda: searched(slice(0, n_paths)), lambda nodes: barriers_of(potential, nodes)),
        "one at a time": timed(n_alone, one_by_one, lambda nodes: barriers_of(potential, nodes)),
        "the paper's procedure": timed(n_paper, paper, lambda nodes: barriers_of(potential, nodes)),
    }
    straight = barriers_of(potential, torch.stack([starts[:n_paper], ends[:n_paper]], 1)).cpu()
    batched = ways["batched"]
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "straight_barrier": float(straight.mean()),
        "ways": {
            name: {
                "paths": way.n_paths,
                "seconds_per_path": way.per_path,
                "ratio": way.per_path / batched.per_path,
                "mean_barrier": float(way.barriers[:n_paper].mean()),
                "largest_barrier": float(way.barriers[:n_paper].max()),
            }
            for name, way in ways.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True, help="CIFAR-10 test images, as for `isthmus evaluate`")
    parser.add_argument("--paths", type=int, default=256)
    parser.add_argument("--alone", type=int, default=32, help="paths that are also searched one at a time")
    parser.add_argument("--paper", type=int, default=8, help="pairs that the paper's procedure is run on")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    document = run(given.images, given.paths, given.alone, given.paper, torch.device(given.device))
    table = Table(title=f"Search on {document['device']}, {document['threads']} threads")
    for column in ("way", "paths", "ms a path", "times as long", "mean barrier, nats", "largest"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for name, way in document["ways"].items():
        table.add_row(
            name,
            str(way["paths"]),
            f"{1000 * way['seconds_per_path']:.1f}",
            f"{way['ratio']:.1f}",
            f"{way['mean_barrier']:.4f}",
            f"{way['largest_barrier']:.4f}",
        )
    Console().print(
        table, f"straight barriers of the paper's pairs: {document['straight_barrier']:.3f} nats on average"
    )
    if given.out is not None:
        given.out.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
