"""Figures of detectors that were never run, and a detector whose classifier may be changed."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from detector.bundle import Bundle
from detector.detector import Detector
from detector.evaluation.attacked import AttackedImages
from detector.evaluation.attacks import AttackSpec, StrengthUnit
from detector.evaluation.judgements import FalsePositives
from detector.evaluation.metrics import Estimate, WorstCase
from detector.evaluation.results import AttackFigures, DetectorFigures
from detector.types import Classifier, Images, LabelledImages, Labels, to_pixels


@pytest.fixture
def estimate() -> Callable[[float], Estimate]:
    return _estimate


@pytest.fixture
def attack_figures_of() -> Callable[..., AttackFigures]:
    return _attack_figures


@pytest.fixture
def figures_of() -> Callable[..., DetectorFigures]:
    """Figures of a detector on attacks of these AUROCs, with twenty successes each unless said otherwise."""

    def make(aurocs: Mapping[str, float], *, n: Mapping[str, int] | None = None, **changes: Any) -> DetectorFigures:
        attacks = {name: _attack_figures(value, n=(n or {}).get(name, 20)) for name, value in aurocs.items()}
        given: dict[str, Any] = {
            "name": "mine",
            "forward_equivalents": 7.0,
            "images_per_second": 250.0,
            "clean": (_false_positives(0.01, 0.125), _false_positives(0.05, 0.25)),
            "misclassified": (),
            "attacks": attacks,
            "worst_case": WorstCase(auroc=_estimate(0.5), tpr={0.01: _estimate(0.125), 0.05: _estimate(0.25)}, n=12),
        }
        return DetectorFigures(**(given | changes))

    return make


@pytest.fixture
def false_positives_of() -> Callable[[float, float], FalsePositives]:
    return _false_positives


@pytest.fixture
def spec_of() -> Callable[..., AttackSpec]:
    def make(name: str, **changes: Any) -> AttackSpec:
        given: dict[str, Any] = {
            "name": name,
            "title": f"title of {name}",
            "method": "PGD",
            "strength": None,
            "strength_unit": StrengthUnit.LINF,
            "needs_gradient": True,
            "most_images": None,
            "attack": _unchanged,
        }
        return AttackSpec(**(given | changes))

    return make


@pytest.fixture
def attacked_of() -> Callable[..., AttackedImages]:
    """Black images that an attack left of forty."""

    def make(n: int, **changes: Any) -> AttackedImages:
        given: dict[str, Any] = {
            "images": torch.zeros(n, 1, 2, 2),
            "sources": torch.arange(n),
            "true_labels": torch.zeros(n, dtype=torch.int64),
            "n_tried": 40,
            "n_invalid": 2,
            "l2": torch.zeros(n),
            "linf": torch.zeros(n),
            "survives_rounding": 0.5,
            "seconds": 1.5,
        }
        return AttackedImages(**(given | changes))

    return make


@pytest.fixture
def detector(bundle: Bundle, corners: Any) -> Detector:
    return Detector(corners, bundle)


@pytest.fixture
def altered(bundle: Bundle, corners: Any) -> Callable[..., Detector]:
    """The detector, its classifier changed behind the back of its digest."""

    def build(logits: Callable[[Tensor], Tensor]) -> Detector:
        classifier = copy.copy(corners)
        classifier.logits = logits
        return Detector(classifier, bundle)

    return build


@pytest.fixture
def images(corner_images: Callable[..., LabelledImages]) -> Tensor:
    return to_pixels(corner_images(6, seed=9).images)


def _unchanged(_classifier: Classifier, images: Images, _labels: Labels, _generator: Generator) -> Images:
    return images


def _estimate(value: float) -> Estimate:
    return Estimate(value, value - 0.1, value + 0.1)


def _attack_figures(auroc: float, *, n: int = 20) -> AttackFigures:
    return AttackFigures(
        n=n,
        success_rate=0.5,
        survives_rounding=0.75,
        mean_l2=0.25,
        mean_linf=2 / 255,
        auroc=_estimate(auroc),
        tpr={0.01: _estimate(auroc / 4), 0.05: _estimate(auroc / 2)},
        barrier_auroc=0.625,
        recovered=None,
        n_small=0,
        n_small_recovered=0,
    )


def _false_positives(nominal: float, realised: float) -> FalsePositives:
    return FalsePositives(nominal=nominal, realised=_estimate(realised), n=100, is_within_binomial=True)
