"""What each kind of evidence adds: heads fitted on parts of a bundle's features, on one set of proxies.

One pass over the images measures everything that the bundle looks at; then a head is fitted for each choice of parts,
calibrated on the bundle's conformal images and judged on attacks that are no proxies. The order of the features is that
of `PathProfiler`: the image, its paths, its smoothed versions, the auxiliary classifier.

    python tests/benchmarks/evidence.py --bundle cifar10-resnet20 --images test.npz --out evidence.json
"""

import argparse
import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Generator, Tensor

from detector.calibration.fitting import Examples, FittingSettings, fit_head
from detector.calibration.recorded_settings import stream_settings
from detector.calibration.splits import without_digests, without_validation
from detector.calibration.stream import correctly_classified, stream
from detector.conformal import ConformalScores
from detector.detector import Detector
from detector.evaluation.attacked import AttackedImages, run_attack
from detector.evaluation.attacks import BUILTIN
from detector.evaluation.metrics import auroc
from detector.evaluation.recovered_splits import recover_splits
from detector.passes import waypoints_per_pass
from detector.types import Images, LabelledImages, to_pixels
from service.bundles import ClassifierChoice, open_detector
from service.imagesets import load_image_set
from service.progress import progress_bars

PARTS = ("image", "paths", "smoothed", "auxiliary")
CHOICES = (
    ("image",),
    ("image", "paths"),
    ("image", "smoothed"),
    ("image", "auxiliary"),
    ("image", "smoothed", "auxiliary"),
    ("image", "paths", "smoothed"),
    ("image", "paths", "auxiliary"),
    PARTS,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """Features of everything that heads are fitted on, calibrated with and judged by, shape (image, feature)."""

    learn: tuple[Tensor, Tensor]
    validate: tuple[Tensor, Tensor]
    conformal: Tensor
    clean: Tensor
    attacked: dict[str, Tensor]


def columns_of(detector: Detector) -> dict[str, slice]:
    """Which columns of the features belong to which part, and so what each part costs."""
    record = detector.bundle.record
    look = 2 * len(record.blocks) + 4
    auxiliary = 0
    if record.auxiliary is not None:
        auxiliary_look = 2 * len(record.auxiliary.blocks) + 4
        spread = 2 if record.auxiliary.n_prototypes > 1 else 1
        along = spread * len(detector.bundle.mixing) * (auxiliary_look + 1) if record.auxiliary.n_prototypes else 0
        auxiliary = auxiliary_look + along
    smoothed = len(record.smoothings) * (look + 1)
    ends = np.cumsum([look, record.n_features - look - smoothed - auxiliary, smoothed, auxiliary])
    return {
        part: slice(int(end - size), int(end)) for part, end, size in zip(PARTS, ends, np.diff([0, *ends]), strict=True)
    }


def passes_of(detector: Detector, parts: tuple[str, ...]) -> int:
    """Forward passes an image that these parts take."""
    bundle = detector.bundle
    auxiliary = bundle.record.auxiliary
    cost = {
        "image": 1,
        "paths": bundle.prototypes.n_prototypes * len(bundle.mixing),
        "smoothed": len(bundle.record.smoothings),
        "auxiliary": 0 if auxiliary is None else 1 + auxiliary.n_prototypes * len(bundle.mixing),
    }
    return sum(cost[part] for part in parts)


def features_of(detector: Detector, images: Images, what: str, progress: Any) -> Tensor:
    """What the head is shown, for any number of images."""
    parts = []
    for part in images.split(32):
        parts.append(detector.measure(part).paths.features)
        progress(f"measuring {what}", sum(map(len, parts)), len(images))
    return torch.cat(parts) if parts else torch.zeros(0, detector.bundle.record.n_features)


def measure(
    detector: Detector, data: LabelledImages, *, batches: int, limit: int, seed: int, progress: Any
) -> Measured:
    """Draw proxies, attack reserved images, and measure all of them."""
    classifier, bundle = detector.classifier, detector.bundle
    chunk, splits = waypoints_per_pass(classifier.input_shape), recover_splits(bundle, data)
    generator = Generator().manual_seed(seed)
    settings = stream_settings(bundle.record)
    parts = {}
    for name, images, n in zip(
        ("learn", "validate"), without_validation(splits.learning, 0.12), (batches, max(2, batches // 8)), strict=True
    ):
        drawn = list(itertools.islice(stream(classifier, images, settings, generator, chunk), n))
        parts[name] = tuple(
            features_of(detector, torch.cat([getattr(batch, kind) for batch in drawn]), f"{kind}, {name}", progress)
            for kind in ("clean", "proxies")
        )
    clean, _ = correctly_classified(classifier, without_digests(data, bundle.used_digests), chunk)
    conformal, _ = correctly_classified(classifier, splits.conformal, chunk)
    attacked = {}
    for spec in BUILTIN:
        found = run_attack(spec, classifier, clean[:limit], seed=seed, chunk=chunk, progress=progress)
        assert isinstance(found, AttackedImages), found
        attacked[spec.name] = features_of(detector, found.images, spec.name, progress)
    return Measured(
        learn=parts["learn"],
        validate=parts["validate"],
        conformal=features_of(detector, to_pixels(conformal.images), "conformal", progress),
        clean=features_of(detector, to_pixels(clean.images), "clean", progress),
        attacked=attacked,
    )


def judged(measured: Measured, columns: Tensor, seed: int) -> dict[str, Any]:
    """Fit a head on these columns and say how well it tells attacks from clean images."""

    def examples(clean: Tensor, proxies: Tensor) -> Examples:
        flags = torch.cat([torch.zeros(len(clean)), torch.ones(len(proxies))])
        return Examples.without_claims(torch.cat([clean, proxies])[:, columns], flags)

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        head = fit_head(examples(*measured.learn), examples(*measured.validate), (64,), FittingSettings())
    with torch.no_grad():
        conformal = ConformalScores.of(head(measured.conformal[:, columns]))
        clean = head(measured.clean[:, columns]).double()
        scores = {name: head(features[:, columns]).double() for name, features in measured.attacked.items()}
    return {
        "auroc": {name: auroc(clean.numpy(), found.numpy()) for name, found in scores.items()},
        "flagged": {name: float((conformal.p_values(found) <= 0.05).double().mean()) for name, found in scores.items()},
        "clean_flagged": float((conformal.p_values(clean) <= 0.05).double().mean()),
    }


def main() -> None:
    """Measure, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", default="cifar10-resnet20")
    parser.add_argument("--images", required=True)
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    opened = open_detector(asked.bundle, false_positive_rate=0.05, choice=ClassifierChoice())
    with progress_bars() as progress:
        data = load_image_set(asked.images, opened.preprocessing, labels=opened.labels)
        measured = measure(
            opened.detector, data, batches=asked.batches, limit=asked.limit, seed=asked.seed, progress=progress
        )
    where = columns_of(opened.detector)
    rows = []
    for parts in CHOICES:
        columns = torch.cat([torch.arange(where[part].start, where[part].stop) for part in parts])
        found = judged(measured, columns, asked.seed)
        rows.append({"parts": parts, "passes": passes_of(opened.detector, parts), **found})
    table = Table("evidence", "passes", "mean AUROC", "worst AUROC", "flagged at 5 %", "clean flagged")
    for row in rows:
        values = list(row["auroc"].values())
        flagged = float(np.mean(list(row["flagged"].values())))
        numbers = (float(np.mean(values)), min(values), flagged, row["clean_flagged"])
        table.add_row(" + ".join(row["parts"]), str(row["passes"]), *(f"{number:.3f}" for number in numbers))
    Console(width=110).print(table)
    if asked.out:
        asked.out.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
