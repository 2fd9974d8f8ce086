import math

import pytest
import torch
from torch import Generator, Tensor

from detector.calibration.goals import Goals, GoalShares
from detector.potentials import log_odds_against


def _drawn(allowed: list[bool], labels: Tensor, targeted: float = 1.0) -> Goals:
    return Goals.drawn(
        labels,
        torch.tensor(allowed),
        torch.tensor([2.0]),
        GoalShares(targeted=targeted, boundary=0.0, unstopped=0.0),
        torch.rand(2, len(labels), generator=Generator().manual_seed(0)),
        Generator().manual_seed(1),
    )


def test_targets_are_all_other_allowed_labels() -> None:
    labels = torch.tensor([1, 4]).repeat(100)
    targets = _drawn([False, True, False, True, True], labels).target
    assert set(targets[labels == 1].tolist()) == {3, 4}
    assert set(targets[labels == 4].tolist()) == {1, 3}


def test_where_every_label_is_allowed_what_rises_is_the_log_odds_against_the_own() -> None:
    logits, labels = torch.randn(20, 5, generator=Generator().manual_seed(2)), torch.arange(20) % 5
    goals = _drawn([True] * 5, labels, targeted=0.0)
    torch.testing.assert_close(goals.gain(logits, labels), log_odds_against(logits, labels))


def test_towards_the_allowed_labels_what_rises_is_their_log_odds_against_all_else() -> None:
    logits, labels = torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.tensor([0])
    goals = _drawn([True, True, False, True], labels, targeted=0.0)
    expected = math.log((math.exp(2) + math.exp(4)) / (math.exp(1) + math.exp(3)))
    assert goals.gain(logits, labels).item() == pytest.approx(expected, abs=1e-5)


def test_a_label_that_is_not_allowed_is_not_where_a_proxy_ends() -> None:
    logits = torch.tensor([[0.0, 9.0, 0.0], [0.0, 0.0, 9.0]])
    goals = _drawn([True, True, False], torch.tensor([0, 0]))
    assert goals.has_reached(logits, torch.tensor([0, 0])).tolist() == [True, False]
