"""The digits classifier and its gradient, by torch and by ONNX Runtime."""

from typing import Any

import onnx
import pytest
import torch

from models.classifier import Classifier
from models.onnx_files.vjp import RuntimeClassifier, runtime_classifier
from models.registry import load_classifier


@pytest.fixture(scope="session")
def digits() -> Classifier:
    return load_classifier("digits").classifier


@pytest.fixture(scope="session")
def model(digits_gradient: bytes) -> Any:
    return onnx.load_from_string(digits_gradient)


@pytest.fixture(scope="session")
def runtime(digits: Classifier, model: Any) -> RuntimeClassifier:
    return runtime_classifier(digits, model, torch.device("cpu"))
