"""At which loss random inputs of an untrained network become connected, straight, by search and exactly."""

import dataclasses
import math

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy import ndarray
from torch import Generator, Tensor

from detector.search import PotentialKind, SearchSettings, label_potential, search_paths
from detector.search.curves import polygonal_chain
from detector.types import Images, ProgressCallback
from service.studies.flooding import flooding_levels
from service.studies.random_networks import (
    LABEL,
    RandomNetwork,
    WeightScale,
    distant_pairs,
    label_losses,
    quantiles_of,
)

GRID = 192
"""Cells along each side of the grid that is flooded in two dimensions."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PercolationSettings:
    """What is measured, and how.

    Attributes:
        networks: of each width and dimension.
        pairs: of each network.
        random_inputs: uniform in the unit cube; quantiles of the loss are those of these.
        end_quantile: ends are random inputs whose loss is among this lowest share.
        budget: forward equivalents for each searched path.
        steps, rate: of Adam, for the three bends of a path.
    """

    dimensions: tuple[int, ...] = (2, 4, 8, 16, 32, 64, 128, 256)
    widths: tuple[int, ...] = (16, 64, 256)
    usual_width: int = 256
    networks: int = 6
    pairs: int = 12
    random_inputs: int = 8192
    end_quantile: float = 0.01
    budget: int = 1500
    steps: int = 200
    rate: float = 0.02
    resolution: int = 32
    final_resolution: int = 96


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """Critical quantiles of the pairs of one kind of network, each array of shape (pair,), one array a network.

    A pair's critical quantile is that of the highest loss on its path: the lowest threshold, as a share of random
    inputs below it, at which the path joins the pair.

    Attributes:
        exact: by flooding a grid; of two dimensions alone.
        seconds: that it all took.
    """

    scale: WeightScale
    width: int
    dimension: int
    straight: tuple[Float[ndarray, " pair"], ...]
    searched: tuple[Float[ndarray, " pair"], ...]
    exact: tuple[Float[ndarray, " pair"], ...] = ()


def measure_cells(settings: PercolationSettings, seed: int, progress: ProgressCallback) -> list[Cell]:
    """Every width at every dimension with rough weights, and one width with the usual ones."""
    kinds = [(WeightScale.ROUGH, width) for width in settings.widths] + [(WeightScale.USUAL, settings.usual_width)]
    wanted = [(scale, width, dimension) for scale, width in kinds for dimension in settings.dimensions]
    cells = []
    for index, (scale, width, dimension) in enumerate(wanted):
        progress(f"joining inputs of {dimension} pixels", index, len(wanted))
        cells.append(measure_cell(scale, width, dimension, settings, seed * 100_003 + index))
    progress("joining inputs", len(wanted), len(wanted))
    return cells


def measure_cell(scale: WeightScale, width: int, dimension: int, settings: PercolationSettings, seed: int) -> Cell:
    """Networks of one kind; those without a pair of ends far enough apart are left out."""
    generator = torch.Generator().manual_seed(seed)
    found = [_measure_network(scale, width, dimension, settings, generator) for _ in range(settings.networks)]
    found = [parts for parts in found if len(parts[0])]
    return Cell(
        scale=scale,
        width=width,
        dimension=dimension,
        straight=tuple(parts[0] for parts in found),
        searched=tuple(parts[1] for parts in found),
        exact=tuple(parts[2] for parts in found if parts[2] is not None),
    )


def _measure_network(
    scale: WeightScale, width: int, dimension: int, settings: PercolationSettings, generator: Generator
) -> tuple[ndarray, ndarray, ndarray | None]:
    """Critical quantiles straight, searched and, in two dimensions, exact."""
    network = RandomNetwork(scale, dimension=dimension, width=width, generator=generator)
    inputs = torch.rand(settings.random_inputs, *network.input_shape, generator=generator)
    losses = label_losses(network, inputs)
    ranked = losses.sort()
    lowest = ranked.indices[: math.ceil(settings.end_quantile * len(inputs))]
    first, second = distant_pairs(inputs, lowest, settings.pairs, generator)
    straight, searched = _highest_losses(network, inputs[first], inputs[second], settings)
    exact = None
    if dimension == 2:
        exact = exact_quantiles(network, inputs[first], inputs[second], ranked.values)
    return (
        quantiles_of(straight, ranked.values).numpy(),
        quantiles_of(searched, ranked.values).numpy(),
        exact,
    )


def _highest_losses(
    network: RandomNetwork, starts: Images, ends: Images, settings: PercolationSettings
) -> tuple[Float[Tensor, " pair"], Float[Tensor, " pair"]]:
    """The highest loss on the straight and on the best path found."""
    potential = label_potential(PotentialKind.CROSS_ENTROPY, network, torch.full((len(starts),), LABEL))
    result = search_paths(
        potential,
        starts,
        ends,
        polygonal_chain(n_bends=3, rate=settings.rate, steps=settings.steps),
        SearchSettings(
            budget=settings.budget,
            resolution=settings.resolution,
            final_resolution=settings.final_resolution,
            flat=0.0,
            patience=8,
        ),
    )
    return result.straight_profiles.amax(1), result.profiles.amax(1)


def exact_quantiles(
    network: RandomNetwork, starts: Images, ends: Images, sorted_losses: Float[Tensor, " input"]
) -> Float[ndarray, " pair"]:
    """Critical quantiles in two dimensions, to half a per cent and to the cells of a grid."""
    ticks = torch.linspace(0, 1, GRID)
    points = torch.stack(torch.meshgrid(ticks, ticks, indexing="ij"), -1).view(-1, 1, 1, 2)
    heights = label_losses(network, points).view(GRID, GRID).numpy()
    quantiles = np.arange(1, 201) / 200
    levels = np.quantile(sorted_losses.numpy(), quantiles)
    joined_at = flooding_levels(heights, _cell_of(starts), _cell_of(ends), levels)
    return np.concatenate([quantiles, [1.0]])[np.searchsorted(levels, joined_at)]


def _cell_of(inputs: Images) -> Int64[ndarray, "pair 2"]:
    cells: ndarray = (inputs.view(-1, 2) * (GRID - 1)).round().long().numpy()
    return cells
