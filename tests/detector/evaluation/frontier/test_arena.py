from typing import Any

import pytest
import torch
from torch import Tensor

from detector.evaluation.frontier.arena import Arena, Standing


@pytest.fixture
def arena(corners: Any) -> Arena:
    """Forty images for thresholds, four clean ones, and two attacks of two and three images."""

    def images(n: int) -> Tensor:
        return torch.full((n, 1, 4, 4), 0.5)

    return Arena(
        classifier=corners, threshold=images(40), clean=images(4), attacked={"weak": images(2), "strong": images(3)}
    )


THRESHOLDS = torch.arange(40).float()
"""At 5 % of 41 the second highest, 38, is the threshold."""


def test_scores_are_dealt_out_to_their_groups(arena: Arena) -> None:
    scores = torch.cat(
        [THRESHOLDS, torch.tensor([0.0, 1.0, 2.0, 39.5]), torch.tensor([1.5, 38.5]), torch.full((3,), 50.0)]
    )
    standing = arena.judged(scores)
    # 1.5 is above two of four clean scores and 38.5 above three.
    assert standing.auroc == {"weak": pytest.approx(5 / 8), "strong": 1.0}
    assert standing.flagged == {"weak": 0.5, "strong": 1.0}
    assert standing.false_positives == 0.25
    assert standing.mean_auroc == pytest.approx(13 / 16)
    assert standing.worst_auroc == pytest.approx(5 / 8)
    assert standing.mean_flagged == 0.75


def test_a_score_that_is_not_a_number_is_never_let_pass(arena: Arena) -> None:
    scores = torch.cat([THRESHOLDS, torch.zeros(4), torch.full((5,), torch.nan)])
    assert arena.judged(scores).mean_flagged == 1.0


def test_with_too_few_images_for_the_rate_nothing_is_flagged(corners: Any) -> None:
    image = torch.full((1, 1, 4, 4), 0.5)
    arena = Arena(classifier=corners, threshold=image.repeat(18, 1, 1, 1), clean=image, attacked={"any": image})
    assert arena.judged(torch.cat([torch.zeros(19), torch.ones(1) * 9])).mean_flagged == 0.0


def test_the_images_are_all_groups_in_order(arena: Arena) -> None:
    assert len(arena.images) == 40 + 4 + 2 + 3


def test_the_error_of_an_auroc_is_that_of_hanley_and_mcneil() -> None:
    """For an AUROC of ½ their formula gives √((n + m + 1) / 12nm), the error of the Mann–Whitney statistic."""
    standing = Standing(
        auroc={"a": 0.5, "b": 1.0}, flagged={}, false_positives=0.0, n_clean=80, n_attacked={"a": 40, "b": 9}
    )
    assert standing.auroc_error == pytest.approx(((80 + 40 + 1) / (12 * 80 * 40)) ** 0.5 / 2)
