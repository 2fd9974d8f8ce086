import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch

from detector.bundle import Bundle
from detector.calibration.adaptive import AdaptiveSettings, Paths, adaptive_stream, attack_head
from detector.calibration.stream import StreamSettings
from detector.head import Head
from detector.types import CalibrationError, LabelledImages, to_pixels

SETTINGS = AdaptiveSettings(sources=24, steps=6, smallest_radius=0.2, largest_radius=0.2)


@pytest.fixture
def paths(bundle: Bundle, corners: Any) -> Paths:
    return Paths(
        profiler=bundle.profiler(corners, None),
        prototypes=bundle.prototypes.pixels(),
        mixing=bundle.mixing,
        available=bundle.prototypes.available,
    )


@pytest.fixture
def data(corner_images: Callable[..., LabelledImages]) -> LabelledImages:
    return corner_images(24, seed=3)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_whoever_succeeds_reaches_another_label_within_the_ball_and_the_pixel_range(
    paths: Paths, bundle: Bundle, corners: Any, data: LabelledImages
) -> None:
    pixels = to_pixels(data.images)
    attacked, succeeded = attack_head(paths, bundle.head, pixels, data.labels, SETTINGS, generator())
    assert succeeded.sum() > 12
    assert (corners(attacked[succeeded]).logits.argmax(1) != data.labels[succeeded]).all()
    assert (attacked - pixels).abs().max() <= 0.2 + 1e-6
    assert attacked.min() >= 0
    assert attacked.max() <= 1


def test_proxies_heed_what_the_head_minds_while_they_cross(
    paths: Paths, bundle: Bundle, corners: Any, data: LabelledImages
) -> None:
    # This head minds the top logit alone, 40 times the brightest quarter: who only crossed would be brighter there.
    head = Head(bundle.record.n_features, ()).eval().requires_grad_(False)
    weights = torch.zeros(1, bundle.record.n_features)
    weights[0, 2 * 3 + 2] = 1
    head.layers[0].load_state_dict({"weight": weights, "bias": torch.zeros(1)})
    head.scale.fill_(10)

    pixels = to_pixels(data.images)
    found, succeeded = attack_head(paths, head, pixels, data.labels, SETTINGS, generator())
    crossed, clean = (corners(images[succeeded]).logits.amax(1).mean() for images in (found, pixels))
    assert crossed < clean - 2


def test_nobody_is_driven_to_a_label_without_prototypes(
    paths: Paths, bundle: Bundle, corners: Any, data: LabelledImages
) -> None:
    only_two = dataclasses.replace(paths, available=torch.tensor([True, False, False, True]))
    pixels = to_pixels(data.images)
    attacked, succeeded = attack_head(only_two, bundle.head, pixels, data.labels, SETTINGS, generator())
    assert set(corners(attacked[succeeded]).logits.argmax(1).tolist()) == {0, 3}
    with pytest.raises(CalibrationError, match="1 labels have prototypes"):
        only_one = dataclasses.replace(paths, available=torch.tensor([True, False, False, False]))
        attack_head(only_one, bundle.head, pixels, data.labels, SETTINGS, generator())


def test_a_batch_holds_clean_images_and_what_succeeded(paths: Paths, bundle: Bundle, data: LabelledImages) -> None:
    variation = StreamSettings(crop_padding=0, flip=False)
    batch = next(adaptive_stream(paths, bundle.head, data, SETTINGS, variation, generator(), 64))
    assert len(batch.clean) == 24
    assert 12 < len(batch.proxies) == len(batch.true_labels)


def test_gradients_may_be_switched_off_around_it(paths: Paths, bundle: Bundle, data: LabelledImages) -> None:
    with torch.no_grad():
        found, _ = attack_head(paths, bundle.head, to_pixels(data.images), data.labels, SETTINGS, generator())
    assert not found.requires_grad


@pytest.mark.parametrize("field", ["rounds", "batches", "sources", "steps"])
def test_nothing_to_do_is_refused(field: str) -> None:
    with pytest.raises(CalibrationError, match="at least 1"):
        AdaptiveSettings(**{field: 0})


def test_radii_that_cross_are_refused() -> None:
    with pytest.raises(CalibrationError, match="smaller and a larger"):
        AdaptiveSettings(smallest_radius=0.1, largest_radius=0.05)
