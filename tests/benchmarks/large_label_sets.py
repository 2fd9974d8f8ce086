"""Images a second and peak memory of a detector against the number of labels, at 224×224 pixels.

Each number of labels is measured in a process of its own, on a bundle with one prototype a label whose numbers are
drawn by lot: what a verdict costs does not depend on them. The classifier is a small convolutional network, untrained.

    python tests/benchmarks/large_label_sets.py --labels 10 100 1000
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Generator, Tensor, nn

from detector.bundle import Bundle
from detector.bundle_record import SCHEMA_VERSION, BundleRecord
from detector.calibration.low_rank_fit import fit_low_rank
from detector.conformal import ConformalScores
from detector.detector import Detector
from detector.head import Head
from detector.potentials import Gaussians, LabelGaussians, blocks_of
from detector.prototypes import PrototypeKind, PrototypeSet
from models.classifier import Classifier

SHAPE = (3, 224, 224)
MIXING = (0.2, 0.4)


def classifier_of(n_labels: int) -> Classifier:
    """Three stages, of which the last two are representations."""
    torch.manual_seed(0)
    network = nn.Sequential()
    width = 3
    for channels in (64, 128, 512):
        network.append(nn.Sequential(nn.Conv2d(width, channels, 5, stride=4, padding=2), nn.ReLU()))
        width = channels
    network.append(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, n_labels)))
    return Classifier(
        network,
        mean=(0.5,) * 3,
        std=(0.25,) * 3,
        labels=tuple(f"label-{number}" for number in range(n_labels)),
        input_shape=SHAPE,
        representations=("1", "2"),
    )


def bundle_of(classifier: Classifier) -> Bundle:
    """Everything of the right size, and drawn by lot."""
    random, n_labels = Generator().manual_seed(0), len(classifier.labels)
    prototypes = torch.randint(0, 256, (n_labels, 1, *SHAPE), generator=random, dtype=torch.uint8)
    with torch.no_grad():
        outputs = classifier(torch.rand(2, *SHAPE, generator=random))
    blocks = blocks_of(outputs.logits, outputs.representations)
    gaussians = {name: _gaussians(block.shape[1], n_labels, random) for name, block in blocks.items()}
    n_features = (1 + len(MIXING)) * (2 * len(blocks) + 4) + len(MIXING)
    record = BundleRecord(
        schema_version=SCHEMA_VERSION,
        classifier="synthetic",
        classifier_digest=classifier.digest(),
        input_shape=SHAPE,
        labels=classifier.labels,
        preprocessing={},
        prototype_kinds=(PrototypeKind.NOISE,),
        blocks=tuple(blocks),
        hidden=(64,),
        n_features=n_features,
        false_positive_rates=(0.05,),
        seed=0,
        settings={},
        measured={},
        data_digest="",
        versions={},
        created="",
        seconds=0.0,
    )
    return Bundle(
        record=record,
        prototypes=PrototypeSet(
            images=prototypes, available=torch.ones(n_labels, dtype=torch.bool), kinds=record.prototype_kinds
        ),
        mixing=torch.tensor(MIXING),
        gaussians=gaussians,
        head=Head(n_features, (64,)).eval(),
        claim_weights=torch.zeros(2 + 2 * len(blocks)),
        conformal=ConformalScores.of(torch.randn(100, generator=random)),
        prototype_profiles=torch.zeros(n_labels, 1),
        used_images=torch.zeros(0, 8, dtype=torch.uint8),
    )


def _gaussians(dimension: int, n_labels: int, random: Generator) -> Gaussians:
    if dimension <= 256:
        means = torch.randn(n_labels, dimension, generator=random)
        return LabelGaussians(means=means, whitening=torch.eye(dimension)[None])
    labels: Tensor = torch.arange(n_labels).repeat(2)
    return fit_low_rank(torch.randn(len(labels), dimension, generator=random), labels, n_labels)


def measured(n_labels: int, folder: Path, n_images: int) -> dict[str, float]:
    """Of this process: it must have done nothing else."""
    torch.set_num_threads(1)
    classifier = classifier_of(n_labels)
    detector = Detector(classifier, Bundle.load(folder))
    images = torch.rand(n_images, *SHAPE, generator=Generator().manual_seed(1))
    # Prototypes lie in the file until they are asked for; here all of them are.
    detector.bundle.prototypes.images.amax()
    detector.inspect(images[:2])
    started = time.process_time()
    detector.inspect(images)
    seconds = time.process_time() - started
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    size = sum(file.stat().st_size for file in folder.iterdir())
    return {
        "labels": n_labels,
        "images_per_second": n_images / seconds,
        "peak_mb": peak / 1024,
        "bundle_mb": size / 1e6,
    }


def main() -> None:
    """Make each bundle, and measure it in another process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure is not None:
        sys.stdout.write(json.dumps(measured(arguments.labels[0], arguments.measure, arguments.images)))
        return
    table = Table("labels", "images/s of one thread", "peak memory, MB", "bundle, MB")
    for n_labels in arguments.labels:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "bundle"
            bundle_of(classifier_of(n_labels)).save(folder)
            command = [sys.executable, __file__, "--labels", str(n_labels), "--images", str(arguments.images)]
            done = subprocess.run([*command, "--measure", str(folder)], check=True, capture_output=True, text=True)
        found = json.loads(done.stdout)
        row = (found["images_per_second"], found["peak_mb"], found["bundle_mb"])
        table.add_row(str(n_labels), *(f"{value:.1f}" for value in row))
    Console().print(table)


if __name__ == "__main__":
    main()
