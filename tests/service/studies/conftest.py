"""Requests for the smallest studies, on the digits that come with scikit-learn."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.studies import claims
from service.studies.report import StudyRequest

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


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals good enough for a test."""
    monkeypatch.setattr(claims, "N_RESAMPLES", 60)


@pytest.fixture
def digits_request(tmp_path: Path) -> Callable[..., StudyRequest]:
    def make(limit: int, **others: Any) -> StudyRequest:
        given = {"out": tmp_path, "classifier": "digits", "device": "cpu", "limit": limit}
        return StudyRequest(**(given | others))

    return make


@pytest.fixture
def squeezenet_request(tmp_path: Path) -> Callable[..., StudyRequest]:
    """SqueezeNet on photographs, from the folder that ISTHMUS_TEST_DATA names."""
    named = os.environ.get("ISTHMUS_TEST_DATA")
    if not named:
        pytest.skip("needs real photographs; set ISTHMUS_TEST_DATA to the folder that holds imagenette/")
    folder = Path(named)
    weights = next((folder / "squeezenet").glob("*.safetensors"))
    spec = tmp_path / "squeezenet.toml"
    lines = [
        'name = "squeezenet-imagenette"',
        'architecture = "torchvision:squeezenet1_0"',
        f"weights = {json.dumps(str(weights))}",
        f"labels = {json.dumps(list(IMAGENET_INDEX))}",
        f"outputs = {list(IMAGENET_INDEX.values())}",
        "input_size = [224, 224]",
        "mean = [0.48235, 0.45882, 0.40784]",
        "std = [0.0039216, 0.0039216, 0.0039216]",
    ]
    spec.write_text("\n".join(lines) + "\n")

    def make(limit: int) -> StudyRequest:
        source = str(folder / "imagenette" / "val")
        return StudyRequest(out=tmp_path, classifier=str(spec), held_out=source, device="cpu", limit=limit)

    return make
