"""Shares, thresholds and slopes over networks of the study of percolation."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from detector.evaluation.metrics import Estimate
from service.studies.claims import bootstrap
from service.studies.percolation_measuring import Cell
from service.studies.random_networks import WeightScale

THRESHOLD = 0.1
"""Share of random inputs below the loss that sentences take as the threshold."""

Paths = Callable[[Cell], Sequence[Float[ndarray, " pair"]]]
"""Critical quantiles of one kind of path, one array a network."""


def searched(cell: Cell) -> Sequence[Float[ndarray, " pair"]]:
    """Of the best paths found."""
    return cell.searched


def best_known(cell: Cell) -> Sequence[Float[ndarray, " pair"]]:
    """The exact ones where they are known, and otherwise those of the best paths found, which are upper bounds."""
    return cell.exact or cell.searched


def straight(cell: Cell) -> Sequence[Float[ndarray, " pair"]]:
    """Of the straight paths."""
    return cell.straight


def shares(cell: Cell, paths: Paths, threshold: float = THRESHOLD) -> Float[ndarray, " network"]:
    """Share of the pairs of each network that its paths join under the threshold."""
    return np.array([(critical <= threshold).mean() for critical in paths(cell)])


def spread(critical: Float[ndarray, " pair"]) -> float:
    """Distance between the quartiles."""
    lower, upper = np.quantile(critical, [0.25, 0.75])
    return float(upper - lower)


def slope(cells: Sequence[Cell], figures: Callable[[Cell], Float[ndarray, " network"]], seed: int) -> Estimate | None:
    """By how much a figure of each network grows with every doubling of the dimension; resampled over networks."""
    found = [figures(cell) for cell in cells]
    doublings = np.concatenate(
        [np.full(len(rows), np.log2(cell.dimension)) for cell, rows in zip(cells, found, strict=True)]
    )
    values = np.concatenate(found)

    def fitted(drawn: ndarray) -> float:
        if len(np.unique(doublings[drawn])) < 2:
            return float("nan")
        return float(np.polyfit(doublings[drawn], values[drawn], 1)[0])

    return bootstrap(fitted, len(values), seed)


def advantage(cells: Sequence[Cell], seed: int) -> Estimate | None:
    """Growth of the share that searched paths join, less that of straight ones, with every doubling."""
    return slope(cells, lambda cell: shares(cell, best_known) - shares(cell, straight), seed)


def rise(low: Cell, high: Cell, seed: int) -> Estimate | None:
    """Share joined in the second kind of network less that in the first, resampled over the networks of both."""
    before, after = shares(low, best_known), shares(high, best_known)
    values = np.concatenate([before, after])
    is_after = np.arange(len(values)) >= len(before)

    def difference(drawn: ndarray) -> float:
        chosen, is_high = values[drawn], is_after[drawn]
        if is_high.all() or not is_high.any():
            return float("nan")
        return float(chosen[is_high].mean() - chosen[~is_high].mean())

    return bootstrap(difference, len(values), seed)


def of_kind(cells: Sequence[Cell], scale: WeightScale, width: int) -> list[Cell]:
    """Cells of one width that have pairs, by ascending dimension."""
    return [cell for cell in cells if cell.scale is scale and cell.width == width and cell.searched]


def widths_of(cells: Sequence[Cell]) -> list[int]:
    """Widths of the rough networks, ascending."""
    return sorted({cell.width for cell in cells if cell.scale is WeightScale.ROUGH})
