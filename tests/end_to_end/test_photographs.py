import json
from pathlib import Path

import pytest
import torch

from detector.types import to_pixels
from models.registry import load_classifier
from service.imagesets import load_image_set

pytestmark = pytest.mark.shared_data

IMAGENET_INDEX = {
    "n01440764": 0,
    "n02102040": 217,
    "n02979186": 482,
    "n03000684": 491,
    "n03028079": 497,
    "n03394916": 566,
    "n03417042": 569,
    "n03425413": 571,
    "n03445777": 574,
    "n03888257": 701,
}


def write_spec(folder: Path, weights: Path) -> Path:
    spec = folder / "squeezenet.toml"
    spec.write_text(
        "\n".join(
            [
                'name = "squeezenet-imagenette"',
                'architecture = "torchvision:squeezenet1_0"',
                f"weights = {json.dumps(str(weights))}",
                f"labels = {json.dumps(list(IMAGENET_INDEX))}",
                f"outputs = {list(IMAGENET_INDEX.values())}",
                "input_size = [224, 224]",
                "mean = [0.48235, 0.45882, 0.40784]",
                "std = [0.0039216, 0.0039216, 0.0039216]",
                "",
            ]
        )
    )
    return spec


def test_a_classifier_from_a_spec_names_photographs(shared_data: Path, tmp_path: Path) -> None:
    weights = next((shared_data / "squeezenet").glob("*.safetensors"))
    loaded = load_classifier(write_spec(tmp_path, weights))
    photographs = load_image_set(
        str(shared_data / "imagenette" / "val"), loaded.preprocessing, labels=loaded.classifier.labels, limit=60
    )
    with torch.no_grad():
        logits = torch.cat([loaded.classifier(to_pixels(part)).logits for part in photographs.images.split(10)])
    # 96 % on all 400; four standard deviations of that among 60.
    assert (logits.argmax(1) == photographs.labels).double().mean() > 0.85
