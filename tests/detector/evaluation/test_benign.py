from collections.abc import Callable
from typing import Any

import torch

from detector.bundle import Bundle
from detector.detector import Detector
from detector.evaluation.benign import BenignImages, benign_figures, benign_images
from detector.evaluation.corruptions import Corruption
from detector.evaluation.judgements import judge
from detector.types import LabelledImages, no_progress, to_pixels


def _clean(corners: Any, corner_images: Callable[..., LabelledImages]) -> LabelledImages:
    data = corner_images(60, seed=50)
    return data[corners(to_pixels(data.images)).logits.argmax(1) == data.labels]


def test_only_images_that_are_still_right_are_kept(corners: Any, corner_images: Callable[..., LabelledImages]) -> None:
    clean = _clean(corners, corner_images)
    # A label that no corruption brings about counts as changed.
    wrong = LabelledImages(images=clean.images, labels=torch.cat([(clean.labels[:7] + 1) % 4, clean.labels[7:]]))
    found = benign_images(corners, wrong, Corruption.BRIGHTNESS, 1, seed=0)
    assert found.n_tried == len(clean)
    assert torch.equal(found.images.labels, clean.labels[7:])
    assert torch.equal(found.sources, torch.arange(7, len(clean)))


def test_figures_count_images_that_are_still_right_and_how_many_are_flagged(
    corners: Any, corner_images: Callable[..., LabelledImages], bundle: Bundle
) -> None:
    clean = _clean(corners, corner_images)
    judged = judge(Detector(corners, bundle), to_pixels(clean.images), no_progress)
    sources = torch.arange(len(clean))
    made = BenignImages(corruption=Corruption.JPEG, severity=2, images=clean, sources=sources, n_tried=2 * len(clean))
    found = benign_figures(made, judged)
    assert (found.corruption, found.severity, found.n, found.still_right) == ("jpeg", 2, len(clean), 0.5)
    n_flagged = sum(p_value <= 0.05 for p_value in judged.p_values.tolist())
    assert found.false_positives[1].realised.value == n_flagged / len(clean)


def test_where_no_image_is_still_right_nothing_is_judged(
    corners: Any, corner_images: Callable[..., LabelledImages], bundle: Bundle
) -> None:
    clean = _clean(corners, corner_images)
    wrong = LabelledImages(images=clean.images, labels=(clean.labels + 1) % 4)
    made = benign_images(corners, wrong, Corruption.BRIGHTNESS, 1, seed=0)
    found = benign_figures(made, judge(Detector(corners, bundle), to_pixels(made.images.images), no_progress))
    assert (found.n, found.still_right, found.false_positives) == (0, 0.0, ())


def test_one_seed_gives_the_same_images_and_another_does_not(
    corners: Any, corner_images: Callable[..., LabelledImages], untouched_randomness: None
) -> None:
    clean = _clean(corners, corner_images)[:10]
    first, again, other = (
        benign_images(corners, clean, Corruption.GAUSSIAN_NOISE, 1, seed=seed).images.images for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
