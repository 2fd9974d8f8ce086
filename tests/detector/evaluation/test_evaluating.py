from collections import Counter
from collections.abc import Callable
from typing import Any

import torch

from detector.bundle import Bundle
from detector.detector import Detector
from detector.evaluation.attacked import AttackedImages
from detector.evaluation.corruptions import SEVERITIES, Corruption
from detector.evaluation.evaluating import JudgedImages, evaluate_detector
from detector.types import LabelledImages, no_progress


def _black(n: int) -> AttackedImages:
    return AttackedImages(
        images=torch.zeros(n, 1, 4, 4),
        sources=torch.arange(n) + 1,
        true_labels=torch.arange(n) + 1,
        n_tried=20,
        n_invalid=0,
        l2=torch.ones(n),
        linf=torch.ones(n),
        survives_rounding=1.0,
        seconds=0.0,
    )


def test_a_detector_is_judged_on_natural_corrupted_and_attacked_images(
    bundle: Bundle, corners: Any, corner_images: Callable[..., LabelledImages]
) -> None:
    clean = corner_images(20, seed=9)
    images = JudgedImages(
        clean=clean,
        misclassified=corner_images(4, seed=10),
        corruptible=clean[:3],
        attacked={"black": _black(2), "failed": _black(0)},
    )
    found = evaluate_detector("it", Detector(corners, bundle), images, seed=0, progress=no_progress)
    figures = found.figures
    assert set(found.judgements) == {"clean", "black"}
    assert set(figures.attacks) == {"black"}
    assert figures.forward_equivalents == bundle.forward_equivalents
    assert figures.images_per_second > 0
    assert [group.n for group in figures.clean] == [20, 20]
    assert [group.n for group in figures.misclassified] == [4, 4]
    assert figures.attacks["black"].success_rate == 0.1
    assert figures.worst_case is not None and figures.worst_case.n == 2
    assert len(figures.benign) == len(Corruption) * len(SEVERITIES)
    assert all(one.still_right == one.n / 3 for one in figures.benign)
    rows = Counter(group.group.value for group in found.scores for _ in group.sources)
    assert rows == {"clean": 20, "misclassified": 4, "attack": 2, "benign": sum(one.n for one in figures.benign)}
    assert all(len(group.sources) == len(group.judgement.verdicts) for group in found.scores)
