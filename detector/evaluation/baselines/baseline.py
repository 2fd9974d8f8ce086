"""What every baseline offers, and how its scores become p-values."""

import dataclasses
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from detector.conformal import ConformalScores
from detector.evaluation.judgements import Judgement
from detector.evaluation.metrics import Scores
from detector.passes import waypoints_per_pass
from detector.types import Classifier, Images, ProgressCallback, no_progress


@runtime_checkable
class Baseline(Protocol):
    """A detector that needs nothing but one number an image.

    Attributes:
        name: short, for files and options.
        title: for people, with its source.
        forward_equivalents: forward passes of the classifier that one score costs.
    """

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def forward_equivalents(self) -> float: ...

    def measure(self, images: Images) -> Tensor:
        """One score an image, higher for images less like clean ones; so many images as one forward pass takes."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class FittedBaseline:
    """A baseline with the scores of the clean images that give its p-values.

    Attributes:
        conformal: of the images that gave the bundle's p-values too.
    """

    baseline: Baseline
    classifier: Classifier
    conformal: ConformalScores

    @property
    def name(self) -> str:
        """Short, for files and options."""
        return self.baseline.name

    @property
    def title(self) -> str:
        """For people, with its source."""
        return self.baseline.title

    @property
    def forward_equivalents(self) -> float:
        """Forward passes of the classifier that one score costs."""
        return self.baseline.forward_equivalents

    def score(self, images: Images, progress: ProgressCallback = no_progress) -> Scores:
        """Higher is more adversarial; +∞ where the baseline gives no number, as the detector's undecided images."""
        scores = measure_all(self.baseline, self.classifier, images, progress).numpy()
        return np.where(np.isfinite(scores), scores, np.inf)

    def judge(self, images: Images, progress: ProgressCallback = no_progress) -> Judgement:
        """Scores and p-values; a baseline knows neither a barrier (NaN) nor a suspected label (-1)."""
        scores = self.score(images, progress)
        return Judgement(
            scores=scores,
            p_values=self.conformal.p_values(torch.from_numpy(scores)).numpy(),
            barriers=np.full(len(scores), np.nan),
            suspected=np.full(len(scores), -1, dtype=np.int64),
        )


@torch.no_grad()
def measure_all(
    baseline: Baseline, classifier: Classifier, images: Images, progress: ProgressCallback
) -> Float64[Tensor, " image"]:
    """Measure any number of images, one forward pass after the other."""
    scores = torch.zeros(0, dtype=torch.float64)
    for part in torch.split(images, waypoints_per_pass(classifier.input_shape)) if len(images) else ():
        scores = torch.cat([scores, baseline.measure(part.to(classifier.device)).double().cpu()])
        progress(f"scoring with {baseline.name}", len(scores), len(images))
    return scores
