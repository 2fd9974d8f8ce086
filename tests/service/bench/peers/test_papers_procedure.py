import math
from typing import Any

import pytest
import torch
from torch import Tensor

from detector.search import PotentialKind, label_potential
from service.bench.peers.papers_procedure import forward_equivalents, highest_on_chord, papers_procedure

START, END = torch.tensor([[[0.2, 0.5]]]), torch.tensor([[[0.8, 0.5]]])
"""Two wells, of two pixels (x, y), on either side of a ridge."""

PASS = 4.0
"""Lead of the wrong label on the ridge where that is lowest, at y = 0.8; it is 1.8 more half way between the wells."""


@pytest.fixture
def ridge(toy: Any) -> Any:
    def logits(pixels: Tensor) -> Tensor:
        x, y = pixels.flatten(1).unbind(1)
        height = PASS + 20 * (y - 0.8).square()
        lead = height * torch.exp(-((x - 0.5) / 0.1).square())
        return torch.stack([torch.zeros_like(lead), lead], 1)

    return toy(logits, n_labels=2, input_shape=(1, 1, 2))


def test_the_bend_comes_to_lie_on_the_pass_of_a_landscape_with_two_wells(ridge: Any) -> None:
    potential = label_potential(PotentialKind.CROSS_ENTROPY, ridge, torch.tensor([0]))
    top, highest = highest_on_chord(potential, START, END, 0)
    # With 250 points none is half way.
    assert top.flatten().tolist() == pytest.approx([0.5, 0.5], abs=2e-3)
    assert highest.item() == pytest.approx(math.log1p(math.exp(PASS + 1.8)), abs=0.01)
    found = papers_procedure(potential, START[None], END[None], n_steps=200)
    # A pull back of 0.3, the way it went, leaves it 0.3 / 40 before the pass.
    assert found.bends.flatten().tolist() == pytest.approx([0.5, 0.7925], abs=2e-3)
    assert found.highest.item() == pytest.approx(math.log1p(math.exp(PASS)), abs=0.01)


def test_a_pair_costs_what_is_said(ridge: Any) -> None:
    potential = label_potential(PotentialKind.CROSS_ENTROPY, ridge, torch.tensor([0, 0]))
    papers_procedure(potential, torch.stack([START, END]), torch.stack([END, START]), n_steps=3)
    # A backward pass, which a toy does not count, is two more.
    assert sum(ridge.batches) == 2 * (forward_equivalents(3) - 2 * 3)
    assert forward_equivalents() == 3 * 250 + 3 * 1024
