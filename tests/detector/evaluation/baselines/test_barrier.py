import math
from typing import Any

import pytest
import torch

from detector.bundle import Bundle
from detector.evaluation.baselines.barrier import LinearBarrier, linear_barrier


def _line(toy: Any) -> Any:
    """Images of one pixel; logits (10·(x − ½), 0): label 0 above mid-grey, label 1 below."""
    return toy(
        lambda pixels: torch.stack([10 * (pixels.flatten(1)[:, 0] - 0.5), 0 * pixels.flatten(1)[:, 0]], 1),
        n_labels=2,
        input_shape=(1, 1, 1),
    )


def _softplus(value: float) -> float:
    return math.log1p(math.exp(value))


def _barrier(classifier: Any, ends: list[list[float]]) -> LinearBarrier:
    """Prototypes of label 0 at these two pixels, of label 1 at none in question."""
    pixels = torch.tensor(ends)[:, :, None, None, None]
    profiles = torch.nn.functional.softplus(-10 * (torch.tensor(ends) - 0.5) * torch.tensor([[1.0], [-1.0]]))
    return LinearBarrier(classifier=classifier, prototypes=pixels, ends=profiles, mixing=torch.tensor([0.25, 0.5]))


def test_the_highest_point_of_each_path_counts_and_their_mean_is_the_score(toy: Any) -> None:
    barrier = _barrier(_line(toy), [[1.0, 0.0], [0.0, 0.0]])
    # From .8 the path to 1 is highest at its start and the one to 0, which is no prototype of its label, at its end.
    expected = (_softplus(-10 * 0.3) + _softplus(10 * 0.5)) / 2
    assert barrier.measure(torch.full((1, 1, 1, 1), 0.8)).item() == pytest.approx(expected, rel=1e-5)


def test_a_high_point_inside_the_path_is_found(toy: Any) -> None:
    ridge = toy(
        lambda pixels: torch.stack([40 * (pixels.flatten(1)[:, 0] - 0.5) ** 2, 0 * pixels.flatten(1)[:, 0] + 1], 1),
        n_labels=2,
        input_shape=(1, 1, 1),
    )
    # From 0 to 1, both of label 0 with a logit of ten, half-way lies logit 0 against 1.
    barrier = LinearBarrier(
        classifier=ridge,
        prototypes=torch.ones(2, 1, 1, 1, 1),
        ends=torch.zeros(2, 1),
        mixing=torch.tensor([0.25, 0.5, 0.75]),
    )
    assert barrier.measure(torch.zeros(1, 1, 1, 1)).item() == pytest.approx(_softplus(1.0), rel=1e-5)


def test_the_cost_is_one_pass_a_waypoint_and_one_for_the_image(toy: Any) -> None:
    classifier = _line(toy)
    barrier = _barrier(classifier, [[1.0, 0.9], [0.0, 0.1]])
    barrier.measure(torch.rand(7, 1, 1, 1, generator=torch.Generator().manual_seed(0)))
    assert barrier.forward_equivalents == 1 + 2 * 2
    assert sum(classifier.batches) == 7 * barrier.forward_equivalents


def test_the_bundles_own_prototypes_end_the_paths(corners: Any, bundle: Bundle) -> None:
    barrier = linear_barrier(corners, bundle, n_waypoints=4)
    assert barrier.mixing.tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert torch.equal(barrier.prototypes, bundle.prototypes.images)
    assert torch.equal(barrier.ends, bundle.prototype_profiles)
