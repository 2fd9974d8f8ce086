"""A classifier of 300 labels, and images of five of them."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from detector.bundle import Bundle
from detector.calibration import CalibrationSettings, Provenance, calibrate
from detector.calibration.fitting import FittingSettings
from detector.calibration.proxies import ProxySettings, make_proxies
from detector.detector import Detector
from detector.low_rank import LowRankGaussians
from detector.prototypes import PrototypeKind, PrototypeLabels
from detector.prototypes.synthesis import VisualisationSettings
from detector.types import CalibrationError, LabelledImages, to_pixels
from detector.verdict import Decision

N_LABELS = 300
SIDE = 18
"""Of an image; 324 pixels are more than a block may have dimensions in full."""

KNOWN = (3, 50, 120, 200, 299)
WIDE = ProxySettings(smallest_radius=0.02, largest_radius=0.2)
PATTERNS = torch.randn(N_LABELS, SIDE * SIDE, generator=Generator().manual_seed(0))


def _images(n_images: int, seed: int, labels: tuple[int, ...] = KNOWN) -> LabelledImages:
    """The patterns of the labels in turn, faint and under noise."""
    random = Generator().manual_seed(seed)
    own = torch.tensor(labels)[torch.arange(n_images) % len(labels)]
    pixels = 0.5 + 0.04 * PATTERNS[own] + 0.1 * torch.randn(n_images, SIDE * SIDE, generator=random)
    stored = (pixels.clamp(0, 1) * 255).round().to(torch.uint8)
    return LabelledImages(images=stored.view(n_images, 1, SIDE, SIDE), labels=own)


@pytest.fixture
def many(toy: Callable[..., Any]) -> Any:
    classifier = toy(
        lambda pixels: (pixels.flatten(1) - 0.5) @ PATTERNS.T, n_labels=N_LABELS, input_shape=(1, SIDE, SIDE)
    )
    classifier.labels = tuple(f"label-{number}" for number in range(N_LABELS))
    return classifier


@pytest.fixture
def settings(tiny_settings: CalibrationSettings) -> CalibrationSettings:
    return dataclasses.replace(
        tiny_settings,
        prototype_kind=PrototypeKind.FEATURE_VISUALISED,
        prototype_labels=PrototypeLabels.ALL,
        n_prototypes=1,
        visualisation=VisualisationSettings(steps=12, learning_rate=0.1, jitter=0, smoothness=0.0, finished=2.0),
        fitting=FittingSettings(batches=6, epochs=20),
        smoothings=(),
        false_positive_rates=(0.05,),
        stream=dataclasses.replace(tiny_settings.stream, sources=30),
    )


_BUNDLES: list[Bundle] = []


@pytest.fixture
def large(many: Any, settings: CalibrationSettings) -> Bundle:
    """The same bundle for every test; none may change it."""
    if not _BUNDLES:
        provenance = Provenance(classifier="many", preprocessing={})
        made = calibrate(
            many, references=_images(20, 1), held_out=_images(200, 2), settings=settings, provenance=provenance
        )
        _BUNDLES.append(made)
    return _BUNDLES[0]


def test_every_label_gets_a_prototype_that_is_taken_for_it(large: Bundle, many: Any) -> None:
    assert large.prototypes.available.all()
    assert large.prototypes.images.shape == (N_LABELS, 1, 1, SIDE, SIDE)
    predicted = many(large.prototypes.pixels()[:, 0]).logits.argmax(1)
    assert (predicted == torch.arange(N_LABELS)).float().mean() > 0.98


def test_nothing_in_the_bundle_grows_with_the_square_of_labels_or_dimensions(large: Bundle) -> None:
    for gaussians in large.gaussians.values():
        assert isinstance(gaussians, LowRankGaussians)
        assert all(tensor.numel() < N_LABELS * 100 for tensor in gaussians.tensors().values())
        assert len(gaussians.means) == len(KNOWN)


def test_images_of_the_known_labels_are_told_from_attacks_on_them(large: Bundle, many: Any) -> None:
    detector, data = Detector(many, large, false_positive_rate=0.05), _images(60, 3)
    images = to_pixels(data.images)
    allowed = torch.zeros(N_LABELS, dtype=torch.bool).index_fill(0, torch.tensor(KNOWN), True)
    attacked, succeeded = make_proxies(
        many, images, data.labels, torch.full((4,), 5.0), WIDE, Generator().manual_seed(5), allowed
    )
    scores = [torch.tensor([v.score for v in detector.inspect(part)]) for part in (images, attacked[succeeded])]
    assert succeeded.sum() > 20
    assert (scores[1][:, None] > scores[0]).float().mean() > 0.9


def test_an_image_of_a_label_that_calibration_saw_none_of_gets_a_decision(large: Bundle, many: Any) -> None:
    """Not one that follows from its label: natural images of such labels are no more often flagged than not."""
    detector, unknown = Detector(many, large, false_positive_rate=0.05), _images(40, 4, labels=(7, 77, 177, 277))
    verdicts = detector.inspect(to_pixels(unknown.images))
    assert [verdict.label for verdict in verdicts] == unknown.labels.tolist()
    assert all(verdict.decision is not Decision.UNDECIDED for verdict in verdicts)
    assert sum(verdict.decision is Decision.CLEAN for verdict in verdicts) > 20
    assert f"{N_LABELS - len(KNOWN)} of {N_LABELS} labels have prototypes" in large.record.notes[0]


def test_the_bundle_comes_back_from_its_folder(large: Bundle, many: Any, tmp_path: Path) -> None:
    large.save(tmp_path / "bundle")
    again = Bundle.load(tmp_path / "bundle")
    images = to_pixels(_images(10, 6).images)
    scores = [Detector(many, bundle).measure(images).scores for bundle in (large, again)]
    assert torch.equal(*scores)


def test_stored_prototypes_give_what_pixels_give(large: Bundle, many: Any) -> None:
    profiler, images = large.profiler(many, None), to_pixels(_images(10, 6).images)
    stored, pixels = (
        profiler.measure(images, ends, large.mixing).features
        for ends in (large.prototypes.images, large.prototypes.pixels())
    )
    assert torch.equal(stored, pixels)


def test_proxies_end_in_allowed_labels_and_nowhere_else(many: Any) -> None:
    data = _images(40, 7)
    allowed = torch.zeros(N_LABELS, dtype=torch.bool).index_fill(0, torch.tensor(KNOWN), True)
    predicted: list[Tensor] = []
    for share in (0.0, 1.0):
        attacked, succeeded = make_proxies(
            many,
            to_pixels(data.images),
            data.labels,
            torch.full((4,), 5.0),
            dataclasses.replace(WIDE, targeted_share=share),
            Generator().manual_seed(0),
            allowed,
        )
        assert succeeded.sum() > 5
        predicted.append(many(attacked[succeeded]).logits.argmax(1))
    assert set(torch.cat(predicted).tolist()) <= set(KNOWN)


@pytest.mark.parametrize("kind", [PrototypeKind.REAL, PrototypeKind.LEARNED, PrototypeKind.STAR])
def test_kinds_that_need_images_are_refused_for_all_labels(kind: PrototypeKind) -> None:
    with pytest.raises(CalibrationError, match=f"^{kind} prototypes need images of their label"):
        CalibrationSettings(prototype_kind=kind, prototype_labels=PrototypeLabels.ALL)
