"""Whether the summary of an audit tells attacks from false alarms, and from one another.

Images that the bundle's calibration has not seen are attacked, all towards one label in one of the ways, rounded to 8
bits and summed up with the natural ones, each attack in a folder of its own. Shown are the groups of flagged images by
folder, and what share of the list at several false-discovery rates is natural.

    python tests/benchmarks/audit_patterns.py --images test.npz --attacks pgd-8,deepfool,fgsm-4 --aim cat
    python tests/benchmarks/audit_patterns.py --images test.npz --attacks pgdl2-0.5,mifgsm-8,fab-8 --aim ship \
        --skip 300 --limit 200
"""

import argparse
import tempfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from rich.console import Console
from torch import Generator, Tensor

from detector.calibration.splits import without_digests
from detector.evaluation.attacked import attack_all
from detector.evaluation.attacks import Attack, specs_named
from detector.passes import predicted_labels
from detector.potentials import log_odds_against
from detector.types import Classifier, Images, LabelledImages, Labels, no_progress, to_pixels, to_stored
from service.bundles import ClassifierChoice, OpenedDetector, open_detector
from service.images import pixel_digest
from service.imagesets.loading import load_image_set
from service.offline.folder.names import DISCOVERIES_FILE
from service.offline.items import Item
from service.offline.schema import results_table
from service.offline.summary.discoveries import write_discoveries
from service.offline.summary.summarising import summarise
from service.records import verdict_record

NATURAL = "natural"
RATES = (0.01, 0.05, 0.1, 0.2)

console = Console(width=120)


def pgd_towards(label: int, radius: float = 4 / 255, steps: int = 20) -> Attack:
    """PGD towards one label for all images."""

    def attack(classifier: Classifier, images: Images, labels: Labels, generator: Generator) -> Images:
        target = torch.full_like(labels, label)
        attacked = (images + radius * (torch.rand(images.shape, generator=generator) * 2 - 1)).clamp(0, 1)
        for _ in range(steps):
            pixels = attacked.detach().requires_grad_(True)
            odds = log_odds_against(classifier(pixels).logits, target).sum()
            (gradient,) = torch.autograd.grad(odds, pixels)
            moved = attacked - 2.5 * radius / steps * gradient.sign()
            attacked = (images + (moved - images).clamp(-radius, radius)).clamp(0, 1)
        return attacked

    return attack


def attacked_images(opened: OpenedDetector, unseen: LabelledImages, options: argparse.Namespace) -> dict[str, Tensor]:
    """Stored images by folder: the natural ones, and the successes of each attack."""
    classifier = opened.detector.classifier
    is_correct = predicted_labels(classifier, to_pixels(unseen.images)) == unseen.labels
    tried = unseen[is_correct][options.skip : options.skip + options.limit]
    attacks = {spec.name: spec.attack for spec in specs_named(options.attacks)}
    attacks[f"to-{options.aim}"] = pgd_towards(opened.labels.index(options.aim))
    made = attack_all(attacks, classifier, tried, seed=0, chunk=100, progress=no_progress)
    return {NATURAL: unseen.images, **{name: to_stored(found.images) for name, found in made.items()}}


def write_results(folder: Path, opened: OpenedDetector, images: dict[str, Tensor]) -> None:
    """Judge the images as an audit would, in one shard."""
    paths = [f"{name}/{number:05d}.png" for name, stored in images.items() for number in range(len(stored))]
    stored = torch.cat(list(images.values()))
    verdicts = opened.detector.inspect(to_pixels(stored))
    records = [verdict_record(path, verdict, opened.labels) for path, verdict in zip(paths, verdicts, strict=True)]
    digests = [pixel_digest(image) for image in stored]
    (folder / "results").mkdir()
    table = results_table([Item(path=path) for path in paths], records, digests, pa.schema([]))
    pq.write_table(table, folder / "results" / "00000000.parquet")


def show(folder: Path, n_calibration: int) -> None:
    """Groups by folder, and the lists."""
    summary = summarise(folder, false_discovery_rate=RATES[0], n_calibration=n_calibration)
    console.print({group.name: f"{group.flagged.n} of {group.flagged.of}" for group in summary.by_folder.top})
    for cluster in summary.clusters.clusters:
        folders = {one.folder: one.n for one in cluster.folders}
        console.print(f"group {cluster.number}: {cluster.n}, aimed at {cluster.aimed_at}, from {folders}")
    console.print(f"{summary.clusters.n_unclustered} of {summary.clusters.n_considered} in no group")
    for rate in RATES:
        found = summarise(folder, false_discovery_rate=rate, n_calibration=n_calibration)
        write_discoveries(folder, found)
        listed = pq.read_table(folder / DISCOVERIES_FILE, columns=["path"])["path"].to_pylist()
        origins = Counter(path.split("/")[0] for path in listed)
        console.print(
            f"at {rate}: {len(listed)} listed, {origins[NATURAL] / max(1, len(listed)):.1%} natural, {origins}"
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bundle", default="cifar10-resnet20")
    parser.add_argument("--images", required=True)
    parser.add_argument("--attacks", default="pgd-8,deepfool,fgsm-4")
    parser.add_argument("--aim", default="cat")
    parser.add_argument("--skip", type=int, default=0)
    parser.add_argument("--limit", type=int, default=300)
    options = parser.parse_args()
    opened = open_detector(options.bundle, false_positive_rate=0.05, choice=ClassifierChoice(device="cpu"))
    data = load_image_set(options.images, opened.preprocessing, labels=opened.labels)
    unseen = without_digests(data, opened.detector.bundle.used_digests)
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        write_results(folder, opened, attacked_images(opened, unseen, options))
        show(folder, len(opened.detector.bundle.conformal.scores))


if __name__ == "__main__":
    main()
