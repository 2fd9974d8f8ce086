import math

import pytest
import torch
from torch import Tensor

from detector.detector import JointOutputs
from detector.evaluation.adaptive.descent import BestIterates, descend, gradient_of, step_length


def _seen(margin: float, score: float) -> JointOutputs:
    """What one image with this margin of label 1 shows."""
    return JointOutputs(logits=torch.tensor([[0.0, margin]]), scores=torch.tensor([score]))


@pytest.mark.parametrize(
    ("iterates", "best"),
    [
        ([(-3, 9), (-1, 9), (-2, 0)], 1),
        ([(-3, 0), (1, 9), (-0.1, -9)], 1),
        ([(1, 5), (9, 3), (2, 4)], 1),
        ([(1, math.nan), (1, 5), (1, math.nan)], 1),
        ([(-1, 0), (0.5, math.nan), (-0.5, 0)], 1),
        ([(1, 2), (1, 2)], 0),
    ],
    ids=["nearest", "reached-first", "lowest-score", "not-a-number", "reached-though-not-a-number", "first-of-equals"],
)
def test_the_best_iterate_reaches_the_target_with_the_lowest_score(
    iterates: list[tuple[float, float]], best: int
) -> None:
    kept = BestIterates(torch.full((1, 1, 1, 1), -1.0))
    for number, (margin, score) in enumerate(iterates):
        kept.offer(torch.full((1, 1, 1, 1), float(number)), _seen(float(margin), float(score)), torch.tensor([1]))
    assert kept.images.item() == best


def test_each_image_has_a_best_iterate_of_its_own() -> None:
    kept = BestIterates(torch.zeros(2, 1, 1, 1))
    targets = torch.tensor([1, 0])
    for number, score in enumerate([2.0, 1.0, 3.0]):
        outputs = JointOutputs(logits=torch.tensor([[0.0, 1.0], [1.0, 0.0]]), scores=torch.tensor([score, -score]))
        kept.offer(torch.full((2, 1, 1, 1), float(number)), outputs, targets)
    assert kept.images.flatten().tolist() == [1, 2]


def test_steps_shrink_evenly_from_a_quarter_of_the_radius_to_a_hundredth() -> None:
    lengths = [step_length(0.2, step, 5) for step in range(5)]
    assert lengths == pytest.approx([0.05, 0.038, 0.026, 0.014, 0.002])
    assert step_length(0.2, 0, 1) == 0.05


def test_every_iterate_that_is_looked_at_lies_in_the_ball_and_the_last_one_counts() -> None:
    looked: list[Tensor] = []

    def look(attacked: Tensor) -> tuple[Tensor, JointOutputs]:
        looked.append(attacked)
        return torch.tensor([[[[-1.0, 1.0]]]]), _seen(1.0, -float(attacked[0, 0, 0, 0]))

    clean = torch.tensor([[[[0.95, 0.5]]]])
    found = descend(clean, torch.tensor([1]), 0.1, 20, look)
    assert len(looked) == 21
    assert all(((seen - clean).abs() <= 0.1 + 1e-6).all() and seen.max() <= 1 for seen in looked)
    torch.testing.assert_close(found, torch.tensor([[[[1.0, 0.4]]]]), atol=0.05, rtol=0)
    assert found[0, 0, 0, 0] == 1


def test_a_gradient_that_is_not_a_number_is_no_step() -> None:
    pixels = torch.tensor([0.0, 4.0]).view(2, 1, 1, 1).requires_grad_(True)
    assert gradient_of(pixels.sqrt().flatten(), pixels).flatten().tolist() == [0, 0.25]
