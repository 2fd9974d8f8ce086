from pathlib import Path

import pytest
import torch

from detector.types import to_pixels
from models.registry import load_classifier
from service.imagesets import load_image_set

pytestmark = pytest.mark.shared_data


def test_a_classifier_from_a_spec_names_photographs(shared_data: Path, photograph_spec: Path) -> None:
    loaded = load_classifier(photograph_spec)
    photographs = load_image_set(
        str(shared_data / "imagenette" / "val"), loaded.preprocessing, labels=loaded.classifier.labels, limit=60
    )
    with torch.no_grad():
        logits = torch.cat([loaded.classifier(to_pixels(part)).logits for part in photographs.images.split(10)])
    # 96 % on all 400; four standard deviations of that among 60.
    assert (logits.argmax(1) == photographs.labels).double().mean() > 0.85
