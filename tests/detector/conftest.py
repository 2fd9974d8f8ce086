"""A small bundle for the toy classifier, made once."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from detector.bundle import Bundle
from detector.bundle_record import RECORD_FILE, EarlyExitRecord
from detector.calibration import CalibrationSettings, Provenance, calibrate
from detector.calibration.fitting import FittingSettings
from detector.calibration.learning import LearningSettings
from detector.calibration.proxies import ProxySettings
from detector.calibration.splits import SplitShares
from detector.calibration.stream import StreamSettings
from detector.conformal import ConformalScores
from detector.detector import Detector
from detector.early_exit import EarlyExit
from detector.escalation import Escalator
from detector.head import Head
from detector.prototypes.synthesis import VisualisationSettings
from detector.second_opinion import EscalationSettings, SecondOpinion
from detector.straight import StraightPaths
from detector.types import LabelledImages, to_pixels
from detector.typicality import Typicality

sys.path.insert(0, str(Path(__file__).parent))

from toy_cases.inspections import N_IMAGES


@pytest.fixture(scope="session")
def tiny_settings() -> CalibrationSettings:
    """Seconds' worth of calibration; quarters keep their place, so images are neither mirrored nor shifted."""
    return CalibrationSettings(
        n_prototypes=2,
        hidden=(8,),
        false_positive_rates=(0.05,),
        shares=SplitShares(conformal=0.2, learning=0.5),
        stream=StreamSettings(
            images=20,
            sources=40,
            crop_padding=0,
            flip=False,
            proxies=ProxySettings(smallest_radius=0.02, largest_radius=0.2),
        ),
        learning=LearningSettings(steps=5, standardising_batches=2),
        fitting=FittingSettings(batches=10, epochs=30),
        visualisation=VisualisationSettings(steps=10, jitter=0),
    )


@pytest.fixture
def calibrated(
    corners: Any, corner_images: Callable[..., LabelledImages], tiny_settings: CalibrationSettings
) -> Callable[..., Bundle]:
    """Calibrates `corners` anew."""

    def run(settings: CalibrationSettings = tiny_settings, classifier: Any = corners, **arguments: Any) -> Bundle:
        given = {
            "references": corner_images(60, seed=1),
            "held_out": corner_images(240, seed=2),
            "settings": settings,
            "provenance": Provenance(classifier="corners", preprocessing={"height": 4}),
        }
        return calibrate(classifier, **(given | arguments))

    return run


_BUNDLES: list[Bundle] = []


@pytest.fixture
def bundle(calibrated: Callable[..., Bundle]) -> Bundle:
    """The same bundle for every test; none may change it."""
    if not _BUNDLES:
        _BUNDLES.append(calibrated())
    return _BUNDLES[0]


@pytest.fixture
def change_record() -> Callable[..., None]:
    """Writes other values into the record of a bundle's folder."""

    def change(folder: Path, **changes: Any) -> None:
        record = json.loads((folder / RECORD_FILE).read_text())
        (folder / RECORD_FILE).write_text(json.dumps(record | changes))

    return change


@pytest.fixture
def untouched_randomness() -> Any:
    """Fails the test that leaves the global generators of torch or numpy in another state."""
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    yield
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)


@pytest.fixture
def rippled(bundle: Bundle, corners: Any) -> Any:
    """`corners` with ripples on its logits, so that straight paths rise and lower ones are to be found.

    The bundle is asked for so that it is made before: it is that of every test, and of the classifier without ripples.
    """
    smooth = corners.logits
    corners.logits = lambda pixels: smooth(pixels) + 4 * torch.sin(smooth(pixels) * 3)
    return corners


@pytest.fixture
def hesitant(bundle: Bundle, rippled: Any, corner_images: Callable[..., LabelledImages]) -> Bundle:
    """The bundle with a second opinion, drawn by lot, on the images that score in the middle."""
    images = to_pixels(corner_images(40, seed=5).images)
    scores = Detector(rippled, bundle).measure(images).scores
    low, high = torch.quantile(scores, torch.tensor([0.25, 0.9])).tolist()
    escalator = Escalator(
        profiler=bundle.profiler(rippled, None),
        prototypes=bundle.prototypes.pixels(),
        mixing=bundle.mixing,
        settings=EscalationSettings(),
    )
    n_searched = escalator.features(images[:1], torch.zeros(1, dtype=torch.int64))[0].shape[1]
    head = Head(len(bundle.head.mean) + n_searched, ()).eval()
    with torch.no_grad():
        head.layers[0].weight.normal_(0, 0.02, generator=torch.Generator().manual_seed(1))
        head.layers[0].bias.zero_()
    rippled.batches.clear()
    opinion = SecondOpinion(settings=EscalationSettings(), band=(low, high), head=head)
    return bundle.replaced(second_opinion=opinion)


@pytest.fixture
def leaving(bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages]) -> Bundle:
    """The bundle with an exit for images whose label wins by more than 4 logits, which is a good half of them."""
    head = Head(2 * len(bundle.gaussians) + 4, ()).eval().requires_grad_(False)
    head.layers[0].weight.zero_()[0, 2 * len(bundle.gaussians) + 1] = -1
    head.layers[0].bias.zero_()
    head.scale.fill_(100.0)
    record = EarlyExitRecord(
        looks=(),
        leave_below=-0.04,
        ordinary_below=1e6,
        hidden=(),
        n_features=head.n_features,
        leaving_share=0.5,
        proxies_leaving=0.0,
        forward_equivalents=1 + 0.5 * (bundle.forward_equivalents - 1),
        auroc=1.0,
        auroc_without=1.0,
        seed=0,
    )
    found = bundle.replaced(
        early_exit=EarlyExit(
            looks=(),
            head=head,
            ordinary=Typicality(head.n_features),
            leave_below=record.leave_below,
            ordinary_below=record.ordinary_below,
        ),
        record=bundle.record.model_copy(update={"early_exit": record}),
    )
    clean = to_pixels(corner_images(120, seed=12).images)
    scores = StraightPaths.of(found, corners, None)(clean).scores
    corners.batches.clear()
    return found.replaced(conformal=ConformalScores.of(scores))


@pytest.fixture
def images(corner_images: Callable[..., LabelledImages]) -> Tensor:
    return to_pixels(corner_images(N_IMAGES, seed=8).images)


@pytest.fixture
def doubting(rippled: Any, hesitant: Bundle) -> Detector:
    """With a second opinion on some of `images`."""
    return Detector(rippled, hesitant)
