"""What each way to make the straight paths faster is worth, beside what was expected of it.

Old and new run in turns, round after round, on one core; what counts is the median of the ratios within a round. The
old renderings live in `pipeline_ideas.py`. Last comes the share of the roofline: images a second of the whole detector,
as a share of those that the bare classifier could make at its best batch size if a verdict were its forward passes and
nothing else.

    python tests/benchmarks/pipeline_speedups.py --images test.npz --out pipeline-speedups.json
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pipeline_ideas import IDEAS, Idea
from rich.console import Console
from rich.table import Table

from detector.detector import Detector
from detector.types import Images, to_pixels
from service.bench.counting import counted_forward_equivalents
from service.bundles import ClassifierChoice, open_detector
from service.imagesets import load_image_set

BATCH_SIZES = (16, 32, 64, 128, 256)


def seconds_of(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def measured(idea: Idea, detector: Detector, images: Images, n_rounds: int) -> dict[str, Any]:
    """Median ratio of old to new time, and what making and warming up the new one took beyond the old one."""
    about = {"idea": idea.name, "predicted": idea.predicted, "verdict": idea.verdict}
    try:
        start = time.perf_counter()
        old, new = idea.make(detector, images)
        new()
        set_up = time.perf_counter() - start
        old()
        ratios = [seconds_of(old) / seconds_of(new) for _ in range(n_rounds)]
    except Exception as error:  # One that a machine cannot do, say for want of a compiler, is a result.
        return about | {"measured": None, "why": " ".join(str(error).split())[:200]}
    return about | {"measured": statistics.median(ratios), "ratios": ratios, "set_up_seconds": set_up}


def roofline(detector: Detector, images: Images, n_rounds: int) -> dict[str, Any]:
    """Images a second of the detector as a share of what the bare classifier allows; all in turns."""
    classifier = detector.classifier
    equivalents = counted_forward_equivalents(detector, images) or detector.bundle.forward_equivalents
    batches = {size: images.repeat(-(-size // len(images)), 1, 1, 1)[:size] for size in BATCH_SIZES}
    detector.inspect(images)
    forwards: dict[int, list[float]] = {size: [] for size in BATCH_SIZES}
    verdicts = []
    for _ in range(n_rounds):
        verdicts.append(len(images) / seconds_of(lambda: detector.inspect(images)))
        for size, batch in batches.items():
            n_calls = max(1, BATCH_SIZES[-1] // size)
            seconds = seconds_of(lambda batch=batch, n=n_calls: [classifier(batch) for _ in range(n)])  # type: ignore[misc]
            forwards[size].append(n_calls * size / seconds)
    best = max(BATCH_SIZES, key=lambda size: statistics.median(forwards[size]))
    shares = [rate * equivalents / bare for rate, bare in zip(verdicts, forwards[best], strict=True)]
    return {
        "images_per_second": statistics.median(verdicts),
        "forward_equivalents": equivalents,
        "bare_forwards_per_second": {size: statistics.median(rates) for size, rates in forwards.items()},
        "best_batch_size": best,
        "roofline_share": statistics.median(shares),
        "roofline_shares": shares,
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", required=True, help="images, as the commands of isthmus take them")
    parser.add_argument("--bundle", default="cifar10-resnet20")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=2, help="of the detector, in one timing")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


@torch.no_grad()
def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    opened = open_detector(options.bundle, false_positive_rate=0.05, choice=ClassifierChoice(device="cpu"))
    detector = opened.detector
    n_images = options.steps * detector.images_per_step
    images = to_pixels(
        load_image_set(options.images, opened.preprocessing, labels=opened.labels, limit=n_images).images
    )
    console, table = Console(), Table("idea", "predicted", "measured", "set-up, s", "verdict")
    results = []
    for idea in IDEAS:
        result = measured(idea, detector, images, options.rounds)
        results.append(result)
        value = result["measured"]
        found = result["why"][:40] if value is None else f"{value:.3f}"
        table.add_row(idea.name, f"{idea.predicted:.3f}", found, f"{result.get('set_up_seconds', 0):.1f}", idea.verdict)
    console.print(table)
    share = roofline(detector, images, options.rounds)
    console.print(
        f"roofline_share {share['roofline_share']:.3f}: {share['images_per_second']:.1f} images a second of "
        f"{share['forward_equivalents']} forward passes, bare {share['bare_forwards_per_second']}"
    )
    if options.out is not None:
        about = {"bundle": options.bundle, "threads": options.threads, "machine": platform.processor()}
        report = about | {"torch": torch.__version__, "ideas": results, **share}
        temporary = options.out.with_suffix(".partial")
        temporary.write_text(json.dumps(report, indent=2) + "\n")
        temporary.replace(options.out)


if __name__ == "__main__":
    main()
