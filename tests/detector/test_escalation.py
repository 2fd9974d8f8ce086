import dataclasses
from typing import Any

import pytest
import torch

from detector.detector import Detector
from detector.escalation import Escalator
from detector.head import Head
from detector.passes import predicted_labels
from detector.potentials import LabelGaussians
from detector.profiles import PathProfiler
from detector.second_opinion import EscalationSettings, SecondOpinion
from detector.types import to_pixels


def escalator_for(classifier: Any) -> Escalator:
    sizes = {"map": 4, "means": 4, "logits": 4}
    gaussians = {
        name: LabelGaussians(means=torch.zeros(4, size), whitening=torch.eye(size)[None])
        for name, size in sizes.items()
    }
    generator = torch.Generator().manual_seed(3)
    return Escalator(
        profiler=PathProfiler(classifier=classifier, gaussians=gaussians),
        prototypes=torch.rand(4, 2, 1, 4, 4, generator=generator),
        mixing=torch.tensor([0.25, 0.5]),
        settings=EscalationSettings(),
    )


def test_an_image_is_searched_alike_alone_and_among_others(corners: Any, corner_images: Any) -> None:
    escalator, images = escalator_for(corners), to_pixels(corner_images(12, seed=5).images)
    together, costs = escalator.features(images, predicted_labels(corners, images))
    alone = [escalator.features(image[None], predicted_labels(corners, image[None])) for image in images]
    torch.testing.assert_close(together, torch.cat([features for features, _ in alone]))
    assert torch.equal(costs, torch.cat([cost for _, cost in alone]))
    assert together.isfinite().all()


def test_paths_that_nothing_bends_show_what_straight_ones_show(linear: Any) -> None:
    """In a linear classifier no path rises, so none is bent, and the looks are those of the detector itself."""
    gaussians = {
        name: LabelGaussians(means=torch.zeros(2, size), whitening=torch.eye(size)[None])
        for name, size in (("pixels", 4), ("logits", 2))
    }
    profiler = PathProfiler(classifier=linear, gaussians=gaussians)
    ends = torch.tensor([[[[0.9, 0.1], [0.5, 0.1]]], [[[0.9, 0.1], [0.5, 0.9]]]])[:, None]
    mixing = torch.tensor([0.25, 0.5])
    images = torch.rand(6, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    escalator = Escalator(profiler=profiler, prototypes=ends, mixing=mixing, settings=EscalationSettings())
    found, costs = escalator.features(images, predicted_labels(linear, images))
    straight = profiler.features(images, ends, mixing)
    torch.testing.assert_close(found[:, : straight.shape[1]], straight, rtol=1e-4, atol=1e-4)
    # Barriers and steps are nothing, and the path is as long as its chord.
    met = found[:, straight.shape[1] :]
    assert met[:, [0, 2, 4]].abs().max() < 1e-5
    torch.testing.assert_close(met[:, 5], torch.ones(6))
    # One look at each of nine points, at two waypoints and at the image.
    assert costs.tolist() == [9 + 2 + 1] * 6


@pytest.fixture
def doubting(bundle: Any, corners: Any) -> Any:
    """The bundle with a second opinion that puts every image in doubt and gives none a score above the band."""
    n_features = len(bundle.head.mean) + _n_searched(bundle, corners)
    head = Head(n_features, ()).eval()
    opinion = SecondOpinion(settings=EscalationSettings(), band=(-1e9, 1e9), head=head)
    with torch.no_grad():
        head.layers[0].weight.zero_()
        head.layers[0].bias.fill_(-40.0)
    return bundle.replaced(second_opinion=opinion)


def _n_searched(bundle: Any, classifier: Any) -> int:
    escalator = Escalator(
        profiler=bundle.profiler(classifier, None),
        prototypes=bundle.prototypes.pixels(),
        mixing=bundle.mixing,
        settings=EscalationSettings(),
    )
    return escalator.features(torch.full((1, 1, 4, 4), 0.4), torch.zeros(1, dtype=torch.int64))[0].shape[1]


def test_the_second_opinion_decides_where_the_first_is_in_doubt(
    doubting: Any, bundle: Any, corners: Any, corner_images: Any
) -> None:
    images = to_pixels(corner_images(6, seed=8).images)
    revised = Detector(corners, doubting).measure(images).scores
    assert revised.tolist() == pytest.approx([-1e9] * 6, rel=1e-3)
    assert not torch.equal(revised, Detector(corners, bundle).measure(images).scores)


def test_images_that_are_not_in_doubt_keep_their_score(
    doubting: Any, bundle: Any, corners: Any, corner_images: Any
) -> None:
    images = to_pixels(corner_images(20, seed=8).images)
    first = Detector(corners, bundle).measure(images).scores
    middle = float(first.median())
    narrow = dataclasses.replace(doubting.second_opinion, band=(middle, 1e9))
    revised = Detector(corners, bundle.replaced(second_opinion=narrow)).measure(images).scores
    is_below = first < middle
    assert is_below.any()
    assert torch.equal(revised[is_below], first[is_below])
    assert not torch.equal(revised[~is_below], first[~is_below])


def test_a_bundle_comes_back_from_its_folder_with_its_second_opinion(
    calibrated: Any, tiny_settings: Any, corners: Any, corner_images: Any, tmp_path: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("detector.calibration.escalating.FEWEST_DOUBTFUL", 1)
    monkeypatch.setattr("detector.calibration.escalating.pays", lambda *_: (True, 0.5))
    settings = dataclasses.replace(tiny_settings, escalation=EscalationSettings(doubt=(0.0, 0.6)))
    made = calibrated(settings)
    made.save(tmp_path / "bundle")
    read = type(made).load(tmp_path / "bundle")
    assert read.second_opinion is not None
    assert read.record.escalation == made.record.escalation
    assert read.record.measured["escalation_kept"] == 1.0
    images = to_pixels(corner_images(30, seed=8).images)
    first, again = (Detector(corners, one).measure(images).scores for one in (made, read))
    assert torch.equal(first, again)


def test_stored_prototypes_show_what_pixels_show(bundle: Any, corners: Any, corner_images: Any) -> None:
    images = to_pixels(corner_images(4, seed=8).images)
    labels = corners(images).logits.argmax(1)
    stored, pixels = (
        Escalator(
            profiler=bundle.profiler(corners, None),
            prototypes=prototypes,
            mixing=bundle.mixing,
            settings=EscalationSettings(),
        ).features(images, labels)[0]
        for prototypes in (bundle.prototypes.images, bundle.prototypes.pixels())
    )
    assert torch.equal(stored, pixels)
