"""Images a second and peak memory of a detector against the number of labels, at 224×224 pixels.

Each number of labels is measured in a process of its own, on a bundle of the preset `fast`, one prototype a label,
whose numbers are drawn by lot: what a verdict costs does not depend on them. The classifier is a small convolutional
network, untrained.

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
from torch import Generator, nn

from detector.bundle import Bundle
from detector.detector import Detector
from detector.presets import Preset, settings_for
from models.classifier import Classifier
from service.bench.made_up import made_up_bundle
from service.system_files import bytes_of_this_process

SHAPE = (3, 224, 224)


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
    peak = bytes_of_this_process("VmHWM")
    assert peak is not None, "this system does not say what a process has held"
    size = sum(file.stat().st_size for file in folder.iterdir())
    return {
        "labels": n_labels,
        "images_per_second": n_images / seconds,
        "peak_mb": peak / 1e6,
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
            made_up = made_up_bundle(classifier_of(n_labels), settings_for(Preset.FAST), Generator().manual_seed(0))
            made_up.save(folder)
            command = [sys.executable, __file__, "--labels", str(n_labels), "--images", str(arguments.images)]
            done = subprocess.run([*command, "--measure", str(folder)], check=True, capture_output=True, text=True)
        found = json.loads(done.stdout)
        row = (found["images_per_second"], found["peak_mb"], found["bundle_mb"])
        table.add_row(str(n_labels), *(f"{value:.1f}" for value in row))
    Console().print(table)


if __name__ == "__main__":
    main()
