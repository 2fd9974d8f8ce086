"""Contenders that need no training: a barrier on the lowest path, straight or searched."""

import dataclasses
import enum

import torch
from jaxtyping import Int64
from torch import Tensor

from detector.escalation import Searched
from detector.evaluation.frontier.arena import Arena, Standing
from detector.passes import predicted_labels
from detector.search import MethodName, SearchSettings

STRAIGHT = "straight"
SETTINGS = SearchSettings(budget=120, resolution=8, final_resolution=8, check_every=1, patience=8)
"""Few points, so that one path stays below a hundred forward equivalents, which is what a service could pay at most."""


class Judge(enum.StrEnum):
    """What turns paths into a score."""

    BARRIER = "barrier"
    HIGHEST = "highest loss"
    HEAD = "head"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contender:
    """One way to judge images, and how it stands.

    Attributes:
        method: name of the search, or `STRAIGHT`.
        potential: what is searched and, for judges other than the head, measured.
        forward_equivalents: mean cost of one image, a backward counting 2.
    """

    method: str
    prototypes: str
    potential: str
    n_prototypes: int
    judge: Judge
    forward_equivalents: float
    standing: Standing


def untrained_contenders(
    arena: Arena, searched: Searched, method: MethodName, prototypes: str, potential: str
) -> list[Contender]:
    """Barrier and highest loss on the lowest of the first one and of all prototypes' paths, searched and straight."""
    straight_cost = torch.full_like(searched.costs, SETTINGS.final_resolution + 1.0)
    looks = [
        (str(method), Judge.BARRIER, searched.barriers, searched.costs),
        (str(method), Judge.HIGHEST, searched.highest, searched.costs),
        (STRAIGHT, Judge.BARRIER, searched.straight_barriers, straight_cost),
        (STRAIGHT, Judge.HIGHEST, searched.straight_highest, straight_cost),
    ]
    return [
        Contender(
            method=name,
            prototypes=prototypes,
            potential=potential,
            n_prototypes=n,
            judge=judge,
            # The image itself is the start of every path, measured once.
            forward_equivalents=float(costs[:, :n].sum(1).mean()) - (n - 1),
            standing=arena.judged(values[:, :n].amin(1)),
        )
        for name, judge, values, costs in looks
        for n in sorted({1, values.shape[1]})
    ]


def labels_of(arena: Arena) -> Int64[Tensor, " image"]:
    """The predicted label of every image of the arena."""
    return predicted_labels(arena.classifier, arena.images)
