"""Classifiers of every make, from their file to verdicts: trained on the digits, calibrated, attacked."""

import dataclasses
import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.stats import betabinom
from torch import Generator, nn
from torch.nn import functional

from detector.calibration import CalibrationSettings, Provenance, calibrate
from detector.calibration.fitting import FittingSettings
from detector.calibration.proxies import ProxySettings
from detector.calibration.splits import SplitShares, split_held_out
from detector.calibration.stream import StreamSettings
from detector.detector import Detector
from detector.evaluation.attacks import pgd
from detector.evaluation.metrics import auroc
from detector.prototypes.prototype_set import PrototypeKind
from detector.types import LabelledImages, to_pixels
from detector.verdict import Decision, Verdict
from models.preprocessing import Preprocessing
from models.registry import load_classifier
from service.bundles import ClassifierChoice, open_detector
from service.imagesets import load_image_set

# Each of them trains and calibrates.
pytestmark = pytest.mark.slow

NETWORKS = """
from torch import nn

from models.soft_trees import SoftTrees
from models.torchvision_support import import_torchvision

models = import_torchvision().models


def vision_transformer():
    network = models.VisionTransformer(
        image_size=8, patch_size=4, num_layers=2, num_heads=4, hidden_dim=48, mlp_dim=96, num_classes=10
    )
    network.conv_proj = nn.Conv2d(1, 48, 4, stride=4)
    return network


def convnext():
    settings = [models.convnext.CNBlockConfig(24, 48, 1), models.convnext.CNBlockConfig(48, None, 1)]
    network = models.ConvNeXt(settings, layer_scale=1.0, num_classes=10)
    network.features[0][0] = nn.Conv2d(1, 24, 2, stride=2)
    return network


def perceptron():
    layers = [nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 10)]
    return nn.Sequential(*layers)


def soft_trees():
    return SoftTrees(64, n_trees=16, depth=3)


def convolutions():
    layers = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(128, 10))
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of classifier and how it is trained.

    Attributes:
        representations: what is found where the spec names none.
        floor: of the AUROC; trained from each of three seeds it came out at least 0.04 above.
    """

    factory: str
    epochs: int
    learning_rate: float
    representations: tuple[str, ...]
    floor: float


BLOCKS = tuple(f"encoder.layers.encoder_layer_{depth}" for depth in range(2))
KINDS = (
    Kind(factory="vision_transformer", epochs=14, learning_rate=4e-3, representations=BLOCKS, floor=0.82),
    Kind(
        factory="convnext",
        epochs=9,
        learning_rate=3e-3,
        representations=("features.1", "features", "classifier.1"),
        floor=0.92,
    ),
    Kind(factory="perceptron", epochs=25, learning_rate=3e-3, representations=("2", "4"), floor=0.82),
    Kind(factory="soft_trees", epochs=30, learning_rate=2e-2, representations=("decisions", "routing"), floor=0.82),
    Kind(factory="convolutions", epochs=10, learning_rate=5e-3, representations=("1", "4", "6"), floor=0.94),
)
MEAN, STD = 0.305, 0.376
RATE = 0.05
SETTINGS = CalibrationSettings(
    prototype_kind=PrototypeKind.REAL,
    n_prototypes=1,
    hidden=(16,),
    false_positive_rates=(RATE,),
    shares=SplitShares(reserved=0.35, conformal=0.35, learning=0.4),
    stream=StreamSettings(
        flip=False, crop_padding=0, proxies=ProxySettings(smallest_radius=0.03, largest_radius=0.25, most_steps=5)
    ),
    fitting=FittingSettings(batches=8),
)


@pytest.mark.parametrize("kind", KINDS, ids=[kind.factory for kind in KINDS])
def test_a_classifier_of_any_make_is_calibrated_and_its_attacks_stand_out(kind: Kind, tmp_path: Path) -> None:
    references, held_out = digits()
    detector = calibrated(written(tmp_path, kind, seed=0), tmp_path / "bundle", references, held_out)
    assert detector.classifier.representations == kind.representations
    clean, attacked = judged(detector, split_held_out(held_out, references, SETTINGS.shares, SETTINGS.seed).reserved)
    assert len(attacked) >= 50
    n_flagged = sum(verdict.decision is Decision.ADVERSARIAL for verdict in clean)
    fewest, most = false_alarms_by_chance(len(clean), len(detector.bundle.conformal.scores))
    assert fewest <= n_flagged <= most
    assert auroc(scores(clean), scores(attacked)) > kind.floor


def digits() -> tuple[LabelledImages, LabelledImages]:
    """Those to train on and those held out."""
    preprocessing = Preprocessing(height=8, width=8, channels=1)
    sets = [
        load_image_set(source, preprocessing, labels="0123456789") for source in ("digits:train", "digits:held-out")
    ]
    return sets[0], sets[1]


def written(folder: Path, kind: Kind, seed: int) -> Path:
    """The SPEC.toml of a trained network, with its factory and its weights beside it."""
    (folder / "networks.py").write_text(NETWORKS)
    save_file(trained(folder / "networks.py", kind, seed).state_dict(), folder / "weights.safetensors")
    path = folder / "SPEC.toml"
    table = {
        "name": kind.factory,
        "architecture": f"networks.py:{kind.factory}",
        "weights": "weights.safetensors",
        "labels": list("0123456789"),
        "input_size": [8, 8],
        "channels": 1,
        "mean": [MEAN],
        "std": [STD],
    }
    path.write_text("\n".join(f"{key} = {json.dumps(value)}" for key, value in table.items()))
    return path


def trained(file: Path, kind: Kind, seed: int) -> nn.Module:
    found = importlib.util.spec_from_file_location("networks", file)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    data = digits()[0]
    images = (to_pixels(data.images) - MEAN) / STD
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = getattr(module, kind.factory)().train()
        parts = [part for _ in range(kind.epochs) for part in torch.randperm(len(data)).split(100)]
    optimizer = torch.optim.AdamW(network.parameters(), lr=kind.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, kind.learning_rate, total_steps=len(parts))
    for part in parts:
        loss = functional.cross_entropy(network(images[part]), data.labels[part])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network


def calibrated(spec: Path, folder: Path, references: LabelledImages, held_out: LabelledImages) -> Detector:
    """The detector of a bundle that was written and read again."""
    loaded = load_classifier(spec)
    bundle = calibrate(
        loaded.classifier,
        references=references,
        held_out=held_out,
        settings=SETTINGS,
        provenance=Provenance(classifier=loaded.name, preprocessing=loaded.preprocessing.to_dict()),
    )
    bundle.save(folder)
    choice = ClassifierChoice(name_or_spec=str(spec), device="cpu")
    return open_detector(str(folder), false_positive_rate=RATE, choice=choice).detector


def judged(detector: Detector, data: LabelledImages) -> tuple[list[Verdict], list[Verdict]]:
    """Verdicts on all images that the classifier gets right, and on those of the first 100 that PGD turned."""

    def is_right(images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return detector.classifier(images).logits.argmax(1) == labels

    images = to_pixels(data.images)
    right = is_right(images, data.labels)
    clean, labels = images[right], data.labels[right]
    moved = pgd(0.15)(detector.classifier, clean[:100], labels[:100], Generator().manual_seed(0))
    return detector.inspect(clean), detector.inspect(moved[~is_right(moved, labels[:100])])


def scores(verdicts: list[Verdict]) -> np.ndarray:
    return np.array([verdict.score for verdict in verdicts], dtype=np.float64)


def false_alarms_by_chance(n_images: int, n_calibration: int) -> tuple[float, float]:
    """The middle 99.8 % of false alarms, where nothing but chance tells the images from those of calibration.

    What is flagged scores higher than the k-th highest of n calibration scores, and the number of others that do is
    beta-binomial with (k, n + 1 - k).
    """
    rank = math.floor(RATE * (n_calibration + 1))
    fewest, most = betabinom(n_images, rank, n_calibration + 1 - rank).ppf([0.001, 0.999])
    return float(fewest), float(most)
