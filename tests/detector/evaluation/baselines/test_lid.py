from typing import Any

import pytest
import torch

from detector.evaluation.baselines.layers import layers_of_all
from detector.evaluation.baselines.lid import dimensionality, dimensionality_by_layer, fit_local_dimensionality


@pytest.mark.parametrize("dimension", [1, 2, 5])
def test_distances_of_a_uniform_ball_give_its_dimension(dimension: int) -> None:
    # In d dimensions the share of points within r grows as r^d.
    distances = (torch.arange(1, 5001, dtype=torch.float64) / 5000) ** (1 / dimension)
    assert dimensionality(distances).item() == pytest.approx(dimension, rel=0.01)


def test_the_dimension_does_not_depend_on_the_unit_of_the_distances() -> None:
    distances = torch.tensor([0.1, 0.5, 1.0], dtype=torch.float64)
    assert dimensionality(distances * 40).item() == pytest.approx(dimensionality(distances).item())


def test_neighbours_that_coincide_or_are_all_as_far_give_a_finite_dimension() -> None:
    distances = torch.tensor([[0, 0, 1], [1, 1, 1], [0, 0, 0]], dtype=torch.float64)
    assert dimensionality(distances).isfinite().all()


@pytest.mark.parametrize(("deviations", "expected"), [((1.0, 0.0, 0.0), 1), ((1.0, 1.0, 0.0), 2)])
def test_a_line_has_about_one_dimension_and_a_plane_two(deviations: tuple[float, ...], expected: int) -> None:
    random = torch.Generator().manual_seed(0)
    points = torch.rand(1500, 3, generator=random, dtype=torch.float64) * torch.tensor(deviations)
    centre = torch.tensor([[0.5, 0.5, 0.0]], dtype=torch.float64) * torch.tensor(deviations)
    found = dimensionality_by_layer({"layer": points.view(15, 100, 3)}, {"layer": centre})
    # The estimate from 19 neighbours is high by about a tenth; the average over minibatches leaves little scatter.
    assert found.item() == pytest.approx(expected * 1.1, rel=0.15)


def test_references_fill_whole_minibatches(corners: Any, corner_images: Any) -> None:
    layers = {n: layers_of_all(corners, corner_images(n, seed=n).images / 255) for n in (250, 60, 30)}
    full = fit_local_dimensionality(corners, layers[250], layers[60], layers[30])
    assert {name: tuple(part.shape) for name, part in full.references.items()} == {
        "map": (2, 100, 2),
        "means": (2, 100, 4),
    }
    few = fit_local_dimensionality(corners, layers[60], layers[60], layers[30])
    assert few.references["map"].shape == (1, 60, 2)


def test_images_away_from_the_references_score_higher_than_clean_ones(corners: Any, corner_images: Any) -> None:
    data, others = corner_images(200, seed=1), corner_images(80, seed=2)
    clean = others.images / 255
    strange = (clean + 0.3).clamp(0, 1)
    layers = [layers_of_all(corners, images) for images in (data.images / 255, clean[:40], strange[:40])]
    baseline = fit_local_dimensionality(corners, *layers)
    assert baseline.measure(strange[40:]).median() > baseline.measure(clean[40:]).amax()
