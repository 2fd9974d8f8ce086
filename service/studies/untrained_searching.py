"""Round after round of bypass between inputs that untrained networks take for one label."""

import dataclasses
import math

import numpy as np
import torch
from jaxtyping import Float, Float64
from numpy import ndarray
from torch import Generator

from detector.potentials import cross_entropy
from detector.search import PotentialKind, SearchSettings, label_potential, search_paths
from detector.search.bypass import Bypass
from detector.types import ProgressCallback
from models.registry import RegisteredClassifier
from service.studies.untrained_networks import (
    Reading,
    Standardised,
    logits_of,
    noise_inputs,
    optimised_inputs,
    paired_labels,
    standardised,
)

ROUNDS = {
    "one round": Bypass(depth=1),
    "two rounds": Bypass(depth=2),
    "two, twice the steps": Bypass(depth=2, steps_per_level=64),
    "three rounds": Bypass(depth=3),
    "four rounds": Bypass(depth=4),
}
"""Efforts in the order in which they are made; only pairs that are not joined yet go on to the next."""

STRAIGHT = "straight"
ONE, TWO, LONGER, THREE, FOUR = ROUNDS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Condition:
    """What networks and ends are like.

    Attributes:
        low: highest loss of an end, in nats; bends come to rest where they are as low as the higher end.
        rounds: efforts, by their names in `ROUNDS`.
        share: of the networks asked for, rounded up.
    """

    reading: Reading
    low: float
    rounds: tuple[str, ...] = (ONE, TWO, THREE, FOUR)
    share: float = 0.5

    @property
    def name(self) -> str:
        return f"{self.reading}, ends below {self.low:g}"


MAIN = (
    Condition(reading=Reading.NORMALISED, low=0.001, share=1),
    Condition(reading=Reading.NORMALISED, low=0.01, rounds=(ONE, TWO, LONGER, THREE, FOUR)),
)
OTHERS = (Condition(reading=Reading.INITIAL, low=0.01), Condition(reading=Reading.SHARP, low=0.01))


@dataclasses.dataclass(frozen=True, kw_only=True)
class UntrainedSettings:
    """What is made and searched.

    Attributes:
        networks: of the first condition; seeds follow one another.
        pairs: of each network.
        noise: inputs that logits are standardised over.
        joined: highest loss on a path that joins its ends, in nats; .1 is a probability of 90 %.
        flat: barrier at which a search ends.
        budget: forward equivalents a path and effort, more than any effort can use.
    """

    networks: int = 4
    pairs: int = 12
    noise: int = 128
    most_steps: int = 300
    joined: float = 0.1
    flat: float = 0.05
    budget: int = 20_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Searched:
    """Pairs of all networks under one condition.

    Attributes:
        highest: by effort, the highest loss on the best path so far, in nats, shape (pair,); "straight" comes first.
        profiles: by effort, the loss along that path, shape (pair, point).
        networks: number of the network of each pair.
        n_dropped: pairs of which an end could not be made.
        forward_equivalents: of all searches together.
        spread: of the logits over noise inputs, before they were scaled, mean over the networks.
        least_raw_loss: the lowest loss that the optimised ends have when logits are left as they are, in nats.
    """

    condition: Condition
    highest: dict[str, Float64[ndarray, " pair"]]
    profiles: dict[str, Float64[ndarray, "pair point"]]
    networks: Float64[ndarray, " pair"]
    n_dropped: int
    forward_equivalents: int
    spread: float
    least_raw_loss: float


def search_condition(
    entry: RegisteredClassifier,
    condition: Condition,
    settings: UntrainedSettings,
    seed: int,
    progress: ProgressCallback,
) -> Searched:
    """Make pairs for each network and search them."""
    found = []
    n_networks = math.ceil(condition.share * settings.networks)
    for index in range(n_networks):
        progress(f"untrained networks, {condition.name}", index, n_networks)
        found.append(_search_network(entry, condition, settings, seed * 1000 + index))
    progress(f"untrained networks, {condition.name}", n_networks, n_networks)
    efforts = list(found[0].highest)
    return Searched(
        condition=condition,
        highest={name: np.concatenate([part.highest[name] for part in found]) for name in efforts},
        profiles={name: np.concatenate([part.profiles[name] for part in found]) for name in efforts},
        networks=np.concatenate([np.full(len(part.networks), index) for index, part in enumerate(found)]),
        n_dropped=sum(part.n_dropped for part in found),
        forward_equivalents=sum(part.forward_equivalents for part in found),
        spread=float(np.mean([part.spread for part in found])),
        least_raw_loss=min(part.least_raw_loss for part in found),
    )


def _search_network(
    entry: RegisteredClassifier, condition: Condition, settings: UntrainedSettings, seed: int
) -> Searched:
    generator = Generator().manual_seed(seed)
    classifier = standardised(
        entry, condition.reading, seed, noise_inputs(settings.noise, entry.input_shape, generator)
    )
    labels = paired_labels(settings.pairs, len(entry.labels))
    inputs, losses = optimised_inputs(
        classifier,
        labels.repeat_interleave(2),
        low=condition.low,
        most_steps=settings.most_steps,
        generator=generator,
    )
    is_made = (losses <= condition.low).view(-1, 2).all(1)
    pairs = inputs.view(-1, 2, *entry.input_shape)[is_made]
    raw = cross_entropy(logits_of(classifier.classifier, inputs), labels.repeat_interleave(2))
    highest, profiles, spent = _efforts(classifier, pairs, labels[is_made], condition.rounds, settings)
    return Searched(
        condition=condition,
        highest={name: values.double().numpy() for name, values in highest.items()},
        profiles={name: values.double().numpy() for name, values in profiles.items()},
        networks=np.zeros(len(pairs)),
        n_dropped=int((~is_made).sum()),
        forward_equivalents=spent,
        spread=classifier.spread,
        least_raw_loss=raw.min().item(),
    )


def _efforts(
    classifier: Standardised,
    pairs: Float[torch.Tensor, "pair 2 channel height width"],
    labels: torch.Tensor,
    rounds: tuple[str, ...],
    settings: UntrainedSettings,
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], int]:
    """Highest losses and profiles by effort, and what it cost; a path once joined is left alone."""
    highest: dict[str, torch.Tensor] = {}
    profiles: dict[str, torch.Tensor] = {}
    best, spent = torch.empty(0), 0
    # Steps alone end a search, so that every pair gets the effort that its name says.
    search = SearchSettings(budget=settings.budget, flat=settings.flat, patience=1000)
    for name in rounds:
        left = (best.amax(1) > settings.joined).nonzero()[:, 0] if highest else torch.arange(len(pairs))
        potential = label_potential(PotentialKind.CROSS_ENTROPY, classifier, labels[left])
        result = search_paths(potential, pairs[left, 0], pairs[left, 1], ROUNDS[name], search)
        if not highest:
            highest[STRAIGHT], profiles[STRAIGHT] = result.straight_profiles.amax(1), result.straight_profiles
            best = result.straight_profiles
        is_lower = result.profiles.amax(1) < best[left].amax(1)
        best = best.index_copy(0, left[is_lower], result.profiles[is_lower])
        highest[name], profiles[name] = best.amax(1), best
        spent += int(result.forward_equivalents.sum())
    return highest, profiles, spent
