from typing import Any

import pytest
import torch

from detector.escalation import Searched
from detector.evaluation.frontier.arena import Arena
from detector.evaluation.frontier.contenders import SETTINGS, STRAIGHT, Judge, labels_of, untrained_contenders
from detector.search import MethodName
from detector.types import to_pixels


@pytest.fixture
def arena(corners: Any, corner_images: Any) -> Arena:
    images = to_pixels(corner_images(26, seed=4).images)
    return Arena(classifier=corners, threshold=images[:20], clean=images[20:23], attacked={"any": images[23:]})


def searched(arena: Arena) -> Searched:
    """Two prototypes; the second path is always the lower one, except that of the attacked images."""
    n = len(arena.images)
    is_attacked = torch.arange(n) >= n - len(arena.attacked["any"])
    first = torch.where(is_attacked, 5.0, torch.rand(n, generator=torch.Generator().manual_seed(0)))
    second = torch.where(is_attacked, 9.0, first / 2)
    values = torch.stack([first, second], 1)
    return Searched(
        barriers=values,
        highest=values + 1,
        straight_barriers=-values,
        straight_highest=1 - values,
        costs=torch.full((n, 2), 40.0),
        n_steps=torch.ones(n, 2),
        nodes=arena.images[:, None, None].expand(-1, 2, 3, -1, -1, -1),
    )


def test_each_judge_stands_on_searched_and_straight_paths_for_one_and_for_all_prototypes(arena: Arena) -> None:
    found = untrained_contenders(arena, searched(arena), MethodName.NEB, "real", "cross-entropy")
    assert {(one.method, one.judge, one.n_prototypes) for one in found} == {
        (method, judge, n) for method in ("neb", STRAIGHT) for judge in (Judge.BARRIER, Judge.HIGHEST) for n in (1, 2)
    }


def test_the_lowest_path_decides_and_what_it_costs_is_counted_once_for_the_image(arena: Arena) -> None:
    found = {
        (one.method, one.judge, one.n_prototypes): one
        for one in untrained_contenders(arena, searched(arena), MethodName.NEB, "real", "cross-entropy")
    }
    assert found["neb", Judge.BARRIER, 2].standing.mean_auroc == 1.0
    assert found[STRAIGHT, Judge.BARRIER, 2].standing.mean_auroc == 0.0
    assert found["neb", Judge.BARRIER, 1].forward_equivalents == 40
    assert found["neb", Judge.BARRIER, 2].forward_equivalents == 79
    assert found[STRAIGHT, Judge.HIGHEST, 2].forward_equivalents == 2 * (SETTINGS.final_resolution + 1) - 1


def test_labels_are_predicted_for_every_image(arena: Arena, corners: Any) -> None:
    assert torch.equal(labels_of(arena), corners(arena.images).logits.argmax(1))
