"""What is ours as peers: the detector, and baselines that the evaluation has."""

import dataclasses

import torch

from detector.detector import Detector
from detector.evaluation.baselines import Baseline
from detector.evaluation.baselines.baseline import measure_all
from detector.types import Classifier, Images, no_progress
from service.bench.peers.peer import Scores


@dataclasses.dataclass(frozen=True)
class OurDetector:
    """Verdicts as every user gets them; undecided images count as adversarial."""

    detector: Detector
    name: str = "Isthmus"
    source: str = "the bundle"
    n_images: int | None = None

    @property
    def forward_equivalents(self) -> float:
        """Of an image that looks clean, with what second opinions cost on average."""
        return float(self.detector.bundle.expected_forward_equivalents)

    def scores(self, images: Images) -> Scores:
        """One verdict an image."""
        found = [verdict.score for verdict in self.detector.inspect(images)]
        return torch.tensor([torch.inf if score is None else score for score in found], dtype=torch.float64)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnBaseline:
    """A baseline of the evaluation."""

    classifier: Classifier
    baseline: Baseline
    n_images: int | None = None

    @property
    def name(self) -> str:
        """For tables."""
        return self.baseline.title

    @property
    def source(self) -> str:
        """Whose rendering it is."""
        return "our rendering"

    @property
    def forward_equivalents(self) -> float:
        """Passes that one score costs."""
        return self.baseline.forward_equivalents

    def scores(self, images: Images) -> Scores:
        """Higher for images less like clean ones."""
        return measure_all(self.baseline, self.classifier, images, no_progress)
