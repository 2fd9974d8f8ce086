import dataclasses
import math
from typing import Any

import numpy as np
import torch

from detector.conformal import ConformalScores
from detector.evaluation.baselines.baseline import FittedBaseline
from detector.types import no_progress


@dataclasses.dataclass(frozen=True)
class FirstPixel:
    name: str = "first-pixel"
    title: str = "First pixel"
    forward_equivalents: float = 0.0

    def measure(self, images: torch.Tensor) -> torch.Tensor:
        return images[:, 0, 0, 0]


def _fitted(classifier: Any) -> FittedBaseline:
    conformal = ConformalScores.of(torch.arange(19) / 100)
    return FittedBaseline(baseline=FirstPixel(), classifier=classifier, conformal=conformal)


def test_p_values_come_from_the_conformal_scores(corners: Any) -> None:
    images = torch.zeros(2, 1, 4, 4)
    images[1] = 1
    judged = _fitted(corners).judge(images)
    assert judged.scores.tolist() == [0, 1]
    assert judged.p_values.tolist() == [1, 0.05]
    assert np.isnan(judged.barriers).all()
    assert judged.suspected.tolist() == [-1, -1]


def test_where_there_is_no_number_the_image_counts_as_adversarial(corners: Any) -> None:
    judged = _fitted(corners).judge(torch.full((1, 1, 4, 4), torch.nan))
    assert judged.scores.tolist() == [math.inf]
    assert judged.p_values.tolist() == [0.05]


def test_scores_come_in_order_and_none_of_no_images(corners: Any) -> None:
    told: list[int] = []
    pixels = torch.linspace(0, 1, 40_000).double().float()
    images = pixels[:, None, None, None].expand(-1, 1, 4, 4)
    scores = _fitted(corners).score(images, lambda _stage, done, _total: told.append(done))
    assert np.array_equal(scores, pixels.double().numpy())
    assert len(told) > 1
    assert told[-1] == 40_000
    assert len(_fitted(corners).score(images[:0], no_progress)) == 0
