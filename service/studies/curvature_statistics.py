"""Predictions of barriers held against the true ones."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float64, Int64
from numpy import ndarray

from detector.curvature import rank_correlation
from detector.evaluation.metrics import Estimate
from service.studies.claims import bootstrap

CONTROL = "control"
"""What the names of predictions that need no curvature begin with."""

Grid = Float64[ndarray, "image prototype"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Foretold:
    """One potential: predicted and true barriers in its unit.

    Attributes:
        at_prototype: the potential at the far end.
        n_points: at which the true profile was measured, ends included.
    """

    unit: str
    predicted: Grid
    true: Grid
    at_prototype: Grid
    n_points: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rival:
    """One way to foretell, and the barriers that it is about."""

    predicted: Grid
    true: Grid


def rivals_of(foretold: Mapping[str, Foretold], chords: Grid) -> dict[str, Rival]:
    main = next(iter(foretold.values()))
    rivals = {f"curvature, {name}": Rival(predicted=one.predicted, true=one.true) for name, one in foretold.items()}
    rivals[f"{CONTROL}: length of the path"] = Rival(predicted=chords, true=main.true)
    rivals[f"{CONTROL}: height of its end"] = Rival(predicted=main.at_prototype, true=main.true)
    return rivals


def spearman(rival: Rival, seed: int) -> Estimate | None:
    """Rank correlation over all paths; whole images are resampled, as their paths share a start."""
    return bootstrap(lambda drawn: _correlation(rival, drawn), len(rival.true), seed)


def lead_over_controls(rivals: Mapping[str, Rival], seed: int) -> Estimate | None:
    """By how much the first prediction's rank correlation exceeds that of the best control, on the same images."""
    first, *_ = rivals.values()
    controls = [rival for name, rival in rivals.items() if name.startswith(CONTROL)]

    def lead(drawn: Int64[ndarray, " draw"]) -> float:
        return _correlation(first, drawn) - max(_correlation(control, drawn) for control in controls)

    return bootstrap(lead, len(first.true), seed) if controls else None


def _correlation(rival: Rival, drawn: Int64[ndarray, " draw"]) -> float:
    predicted, true = (torch.from_numpy(values[drawn].ravel()) for values in (rival.predicted, rival.true))
    return rank_correlation(predicted, true)


def hits(rival: Rival) -> tuple[Float64[ndarray, " image"], Float64[ndarray, " image"]]:
    """For each image, whether the path predicted lowest is one of the truly lowest, and how often chance is right."""
    chosen = _chosen(rival)
    is_lowest = rival.true == rival.true.min(1, keepdims=True)
    return is_lowest[np.arange(len(chosen)), chosen].astype(np.float64), is_lowest.mean(1)


def _chosen(rival: Rival) -> Int64[ndarray, " image"]:
    """The prototype of each image with the lowest prediction; the first of those equally low, one that is none last."""
    return np.asarray(np.nan_to_num(rival.predicted, nan=np.inf).argmin(1))


def regret(rival: Rival) -> tuple[Float64[ndarray, " image"], Float64[ndarray, " image"]]:
    """For each image, how far the chosen barrier and one drawn at random (on the mean) lie above the lowest."""
    chosen = _chosen(rival)
    excess = rival.true - rival.true.min(1, keepdims=True)
    return excess[np.arange(len(chosen)), chosen], excess.mean(1)
