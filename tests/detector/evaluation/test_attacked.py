from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from detector.evaluation.attacked import AttackedImages, attack_all, run_attack
from detector.evaluation.attacks import Attack, pgd
from detector.types import LabelledImages, no_progress, to_pixels


def _run(
    attack: Attack, classifier: Any, clean: LabelledImages, chunk: int = 8, progress: Any = no_progress
) -> AttackedImages:
    return run_attack("it", attack, classifier, clean, seed=0, chunk=chunk, progress=progress)


def _brighten(amount: float) -> Attack:
    """Brightens the last quarter, which fools `corners` on images of the other labels if that is enough."""

    def attack(_classifier: Any, images: Tensor, _labels: Tensor, _generator: Generator) -> Tensor:
        attacked = images.clone()
        attacked[:, :, 2:, 2:] += amount
        return attacked

    return attack


def test_only_images_that_fool_the_classifier_are_kept(
    corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    clean = corner_images(20, seed=1)
    made = _run(_brighten(0.4), corners, clean)
    # Label 3 is what the brightest quarter makes of all the others.
    assert made.sources.tolist() == [index for index in range(20) if index % 4 != 3]
    assert torch.equal(made.true_labels, clean.labels[made.sources])
    assert made.success_rate == 15 / 20
    torch.testing.assert_close(made.linf, torch.full((15,), 0.4))
    torch.testing.assert_close(made.l2, torch.full((15,), 0.8))
    expected = to_pixels(clean.images)[made.sources]
    expected[:, :, 2:, 2:] += 0.4
    assert torch.equal(made.images, expected)


@pytest.mark.parametrize("amount", [0.9, float("nan"), float("inf")])
def test_what_leaves_the_pixel_range_or_is_not_finite_does_not_count(
    corners: Any, corner_images: Callable[..., LabelledImages], amount: float
) -> None:
    made = _run(_brighten(amount), corners, corner_images(20, seed=1))
    assert len(made.sources) == len(made.images) == len(made.l2) == len(made.linf) == 0
    assert made.success_rate == 0


def test_attacks_run_in_chunks_and_say_how_far_they_are(
    corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    seen: list[tuple[str, int, int]] = []
    _run(_brighten(0.4), corners, corner_images(20, seed=1), progress=lambda *what: seen.append(what))
    assert seen == [("attacking with it", done, 20) for done in (8, 16, 20)]
    assert max(corners.batches) == 8


def test_every_attack_of_a_suite_runs_on_the_same_images_from_the_same_seed(
    corners: Any, corner_images: Callable[..., LabelledImages], untouched_randomness: None
) -> None:
    clean, suite = corner_images(20, seed=1), {"first": pgd(0.1), "second": pgd(0.1)}
    made = attack_all(suite, corners, clean, seed=0, chunk=8, progress=no_progress)
    assert list(made) == ["first", "second"]
    assert torch.equal(made["first"].images, made["second"].images)
    assert made["first"].n_tried == 20
