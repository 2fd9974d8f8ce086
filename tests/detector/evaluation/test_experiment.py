from collections.abc import Callable
from typing import Any

import pytest
import torch

from detector.bundle import Bundle
from detector.detector import Detector
from detector.evaluation.attacks import Attack, AttackSpec, StrengthUnit, fgsm, pgd
from detector.evaluation.experiment import Experiment, _dealt, run_experiment
from detector.types import ImageError, LabelledImages


def _spec(name: str, attack: Attack) -> AttackSpec:
    return AttackSpec(
        name=name,
        title=name,
        method=name,
        strength=None,
        strength_unit=StrengthUnit.NONE,
        needs_gradient=True,
        most_images=None,
        attack=attack,
    )


def _broken(*_: object) -> torch.Tensor:
    raise RuntimeError("it does not work on Mondays")


def _noisy(_classifier: Any, images: torch.Tensor, _labels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Noise in the last quarter, which is then the brightest."""
    attacked = images.clone()
    attacked[:, :, 2:, 2:] = 0.8 + 0.2 * torch.rand(len(images), 1, 2, 2, generator=generator)
    return attacked


STRONG, WEAK, BROKEN = _spec("strong", pgd(0.2)), _spec("weak", fgsm(1e-6)), _spec("broken", _broken)


@pytest.fixture
def run(bundle: Bundle, corners: Any) -> Callable[..., Experiment]:
    def experiment(data: LabelledImages, *specs: AttackSpec, limit: int = 10) -> Experiment:
        detectors = {"first": Detector(corners, bundle), "second": Detector(corners, bundle)}
        return run_experiment(detectors, data, specs or (STRONG, WEAK), limit=limit, seed=0)

    return experiment


def _joined(*parts: LabelledImages) -> LabelledImages:
    return LabelledImages(
        images=torch.cat([part.images for part in parts]), labels=torch.cat([part.labels for part in parts])
    )


def test_images_that_calibration_saw_are_left_out(
    run: Callable[..., Experiment], corner_images: Callable[..., LabelledImages]
) -> None:
    found = run(_joined(corner_images(240, seed=2)[:30], corner_images(40, seed=50)))
    assert found.n_seen == 30
    assert len(found.clean) + len(found.misclassified) == 40


@pytest.mark.parametrize(("n_unseen", "left"), [(0, "none"), (1, "1")])
def test_too_few_images_that_calibration_did_not_see_are_refused(
    run: Callable[..., Experiment], corner_images: Callable[..., LabelledImages], n_unseen: int, left: str
) -> None:
    data = _joined(corner_images(240, seed=2)[:30], corner_images(40, seed=50)[:n_unseen])
    with pytest.raises(ImageError, match=f"30 were used in calibration and {left} of the rest is classified correctly"):
        run(data)


def test_images_are_parted_into_clean_and_misclassified(
    run: Callable[..., Experiment], corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    data = corner_images(40, seed=50)
    data.labels[:4] = (data.labels[:4] + 1) % 4
    found = run(data)
    assert len(found.misclassified) >= 4
    assert (corners(found.clean.images / 255).logits.argmax(1) == found.clean.labels).all()
    assert found.accuracy == len(found.clean) / 40


def test_attacks_run_on_the_first_clean_images_and_all_detectors_see_the_same(
    run: Callable[..., Experiment], corner_images: Callable[..., LabelledImages], untouched_randomness: None
) -> None:
    found = run(corner_images(40, seed=50), limit=10)
    assert found.attacked["strong"].n_tried == 10
    assert list(found.figures) == ["first", "second"]
    assert found.figures["first"].attacks == found.figures["second"].attacks
    assert found.figures["first"].clean[0].n == len(found.clean)


def test_what_an_attack_makes_does_not_depend_on_which_run_beside_it(
    run: Callable[..., Experiment], corner_images: Callable[..., LabelledImages]
) -> None:
    data = corner_images(40, seed=50)
    noisy = _spec("noisy", _noisy)
    alone, last = run(data, noisy), run(data, STRONG, _spec("other", _noisy), noisy)
    assert torch.equal(alone.attacked["noisy"].images, last.attacked["noisy"].images)
    assert torch.equal(last.attacked["other"].sources, last.attacked["noisy"].sources)
    assert not torch.equal(last.attacked["other"].images, last.attacked["noisy"].images)


def test_an_attack_that_raises_is_told_and_the_others_run(
    run: Callable[..., Experiment], corner_images: Callable[..., LabelledImages]
) -> None:
    found = run(corner_images(40, seed=50), BROKEN, STRONG)
    assert list(found.attacked) == ["strong"]
    assert list(found.skipped) == ["broken"] and "it does not work on Mondays" in found.skipped["broken"]
    assert [spec.name for spec in found.specs] == ["broken", "strong"]


def test_images_sorted_by_label_are_dealt_out_so_that_the_first_hold_every_label() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    images = torch.arange(6, dtype=torch.uint8).view(6, 1, 1, 1)
    dealt = _dealt(LabelledImages(images=images, labels=labels))
    assert dealt.labels.tolist() == [0, 1, 2, 0, 1, 0]
    assert dealt.images.flatten().tolist() == [0, 3, 5, 1, 4, 2]


def test_images_in_any_other_order_stay_as_they_are() -> None:
    labels = torch.tensor([1, 0, 1])
    images = torch.arange(3, dtype=torch.uint8).view(3, 1, 1, 1)
    assert _dealt(LabelledImages(images=images, labels=labels)).images.flatten().tolist() == [0, 1, 2]
