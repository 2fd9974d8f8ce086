import math
from typing import Any

import pytest
import torch

from detector.evaluation.baselines.nearest_neighbours import (
    NearestNeighbours,
    distances_to_neighbours,
    fit_nearest_neighbours,
)


def _on_circle(degrees: list[float], length: float = 1.0) -> torch.Tensor:
    angles = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return length * torch.stack([angles.cos(), angles.sin()], 1)


def test_a_reference_is_at_no_distance_from_itself_whatever_its_length() -> None:
    found = distances_to_neighbours(_on_circle([30.0], length=5), _on_circle([30, 90, 150]), 3)
    # Chords of 60 and 120 degrees.
    assert found[0].tolist() == pytest.approx([0, 1, math.sqrt(3)], abs=1e-12)


def test_the_score_is_the_distance_to_the_kth_neighbour_of_the_last_representation(toy: Any) -> None:
    classifier = toy(
        lambda pixels: pixels.flatten(1),
        n_labels=2,
        input_shape=(1, 1, 2),
        representations={"first": lambda pixels: pixels * 0, "last": lambda pixels: pixels.flatten(1)},
    )
    baseline = NearestNeighbours(classifier=classifier, references=_on_circle([0, 60, 180]), k=2)
    assert baseline.measure(torch.tensor([[[[0.3, 0.0]]]])).tolist() == pytest.approx([1.0])


def test_the_neighbour_that_tells_proxies_best_is_chosen(corners: Any) -> None:
    # Every clean image and every proxy lies on a reference, but only clean ones are among many.
    crowd = [float(degree) / 10 for degree in range(20)]
    references = _on_circle([*crowd, 90, 180])
    fitted = fit_nearest_neighbours(corners, references, _on_circle(crowd), _on_circle([90, 180]))
    assert fitted.k == 5


def test_no_more_neighbours_are_asked_for_than_there_are_references(corners: Any) -> None:
    references = _on_circle([0, 1, 2])
    assert fit_nearest_neighbours(corners, references, _on_circle([0.5]), _on_circle([40])).k == 1
