"""Contenders with a head of their own, trained on proxies: on straight paths, and on searched ones."""

import dataclasses
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from detector.calibration.fitting import Examples, FittingSettings, fit_head
from detector.calibration.stream import Batch
from detector.escalation import Escalator
from detector.evaluation.frontier.arena import Arena
from detector.evaluation.frontier.contenders import STRAIGHT, Contender, Judge
from detector.passes import predicted_labels
from detector.profiles import PathProfiler
from detector.types import Images, ProgressCallback, Prototypes

HIDDEN = (64,)

Features = Callable[[Images], tuple[Float[Tensor, "image feature"], float]]
"""Maps images to what a head judges, and the mean cost of one in forward equivalents."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StraightFeatures:
    """What a detector looks at that has straight paths alone, no smoothed versions and no auxiliary classifier."""

    profiler: PathProfiler
    prototypes: Prototypes
    mixing: Float[Tensor, " waypoint"]

    @property
    def names(self) -> tuple[str, str]:
        """Of method and potential."""
        return STRAIGHT, "all"

    def __call__(self, images: Images) -> tuple[Float[Tensor, "image feature"], float]:
        mixing = self.mixing.to(self.prototypes.device)
        features = self.profiler.features(images.to(self.prototypes.device), self.prototypes, mixing)
        return features.cpu(), 1.0 + self.prototypes.shape[1] * len(self.mixing)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchedFeatures:
    """What the detector would look at if it escalated every image."""

    escalator: Escalator

    @property
    def names(self) -> tuple[str, str]:
        """Of method and potential."""
        return str(self.escalator.settings.method), str(self.escalator.settings.potential)

    @property
    def prototypes(self) -> Prototypes:
        """Where the paths end."""
        return self.escalator.prototypes

    def __call__(self, images: Images) -> tuple[Float[Tensor, "image feature"], float]:
        pixels = images.to(self.prototypes.device)
        labels = predicted_labels(self.escalator.profiler.classifier, pixels)
        features, costs = self.escalator.features(pixels, labels)
        return features.cpu(), float(costs.mean())


def trained_contender(
    arena: Arena,
    features: StraightFeatures | SearchedFeatures,
    prototypes: str,
    learn: Sequence[Batch],
    validate: Sequence[Batch],
    progress: ProgressCallback,
) -> Contender:
    """Fit a head on the batches' features and judge the arena with it."""
    method, potential = features.names
    what = f"{method} paths to {prototypes} prototypes"
    known, unknown = (_examples(features, part, what, progress) for part in (learn, validate))
    head = fit_head(known, unknown, HIDDEN, FittingSettings())
    found, cost = features(arena.images)
    with torch.no_grad():
        scores = head(found)
    return Contender(
        method=method,
        prototypes=prototypes,
        potential=potential,
        n_prototypes=features.prototypes.shape[1],
        judge=Judge.HEAD,
        forward_equivalents=cost,
        standing=arena.judged(scores),
    )


def _examples(features: Features, batches: Sequence[Batch], what: str, progress: ProgressCallback) -> Examples:
    found, is_proxy = [], []
    for done, batch in enumerate(batches, 1):
        found.append(features(torch.cat([batch.clean, batch.proxies]).cpu())[0])
        is_proxy += [torch.zeros(len(batch.clean)), torch.ones(len(batch.proxies))]
        progress(f"training on {what}", done, len(batches))
    return Examples.without_claims(torch.cat(found), torch.cat(is_proxy))
