import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

from detector.bundle import Bundle
from detector.detector import Detector
from detector.evaluation.attacks import fgsm, pgd
from detector.evaluation.experiment import Experiment, _dealt, run_experiment
from detector.evaluation.serialised import as_document
from detector.types import ImageError, LabelledImages

ATTACKS = {"strong": pgd(0.2), "weak": fgsm(1e-6)}


@pytest.fixture
def run(bundle: Bundle, corners: Any) -> Callable[..., Experiment]:
    def experiment(data: LabelledImages, limit: int = 10) -> Experiment:
        detectors = {"first": Detector(corners, bundle), "second": Detector(corners, bundle)}
        return run_experiment(detectors, data, ATTACKS, limit=limit, seed=0)

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


def test_nothing_but_images_that_calibration_saw_is_refused(
    run: Callable[..., Experiment], corner_images: Callable[..., LabelledImages]
) -> None:
    with pytest.raises(ImageError, match="of 30 images, 30 were used in calibration and none of the rest"):
        run(corner_images(240, seed=2)[:30])


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


def test_the_document_has_the_figures_of_every_detector_and_attack(
    run: Callable[..., Experiment], corner_images: Callable[..., LabelledImages]
) -> None:
    found = run(corner_images(40, seed=50))
    document = json.loads(json.dumps(as_document(found), allow_nan=False))
    figures = found.figures["first"].attacks["strong"]
    row = document["detectors"]["first"]["attacks"]["strong"]
    assert row["auroc"] == {"value": figures.auroc.value, "lower": figures.auroc.lower, "upper": figures.auroc.upper}
    assert row["tpr"]["0.05"]["value"] == figures.tpr[0.05].value
    assert document["n_clean"] == len(found.clean)
    assert document["detectors"]["first"]["clean"]["0.05"]["n"] == len(found.clean)
    assert document["detectors"]["first"]["forward_equivalents"] == 5


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
