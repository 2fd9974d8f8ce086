"""The paper's procedure beside our detector: what an image costs, and how well attacked images are told from clean.

Our rendering of Vrabel et al. (arXiv 2409.05800): batch 1, one real image of the predicted label at the other end, 250
points a leg, 1,024 steps of Adam; its score is the highest cross-entropy on the path that is left. It judges 20 images,
half of them clean, the others successes of six attacks of torchattacks in turn; our detector judges all of the trial.

    OMP_NUM_THREADS=1 python tests/benchmarks/papers_procedure.py --images test.npz
"""

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from service.bench.peer_comparison import compared
from service.bench.peers import OurDetector, make_trial, peer_material
from service.bench.peers.papers_barrier import drawn_ends, papers_optimised
from service.bundles import ClassifierChoice, open_detector
from service.imagesets import load_image_set
from service.progress import progress_bars

N_PROXIES = 16
"""Neither of the two needs any."""


def run(bundle: str, images: str, n_clean: int, n_attacked: int, rounds: int) -> list[dict[str, Any]]:
    opened = open_detector(bundle, false_positive_rate=0.05, choice=ClassifierChoice(device="cpu"))
    detector = opened.detector
    with progress_bars() as progress:
        data = load_image_set(images, opened.preprocessing, labels=opened.labels, progress=progress)
        trial = make_trial(detector.classifier, detector.bundle, data, n_clean, n_attacked, progress)
        material = peer_material(
            detector.classifier, detector.bundle, data, seed=0, progress=progress, n_proxies=N_PROXIES
        )
        ends = drawn_ends(detector.classifier, material.fitting, material.generator)
        peers = [OurDetector(detector), papers_optimised(detector.classifier, ends)]
        found = compared(peers, trial.clean, trial, rounds, progress)
    return [
        {
            "name": one.name,
            "forward_equivalents": one.forward_equivalents,
            "images_per_second": one.timing.images_per_second,
            "times_ours": one.times_ours,
            "auroc": None if one.auroc is None else {name: list(value) for name, value in one.auroc.items()},
        }
        for one in found
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True, help="CIFAR-10 test images, as for `isthmus evaluate`")
    parser.add_argument("--bundle", default="cifar10-resnet20")
    parser.add_argument("--clean", type=int, default=200)
    parser.add_argument("--attacked", type=int, default=20, help="clean images that each attack is tried on")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    rows = run(asked.bundle, asked.images, asked.clean, asked.attacked, asked.rounds)
    table = Table("detector", "passes", "ms an image", "times ours", "AUROC (95 %)")
    for row in rows:
        value, low, high = row["auroc"]["mean"]
        table.add_row(
            row["name"],
            f"{row['forward_equivalents']:,.0f}",
            f"{1000 / row['images_per_second']:,.1f}",
            f"{row['times_ours']:,.0f}",
            f"{value:.3f} ({low:.3f}–{high:.3f})",
        )
    Console().print(table)
    if asked.out is not None:
        asked.out.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
