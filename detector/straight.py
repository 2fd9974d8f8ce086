"""From images to the evidence of their straight paths: everything that a bundle fixes, in one callable."""

import copy
import dataclasses
from collections.abc import Callable

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from detector.bundle import Bundle
from detector.evidence import Evidence
from detector.profiles import PathProfiler
from detector.scorer import Scorer
from detector.types import Classifier, Images

MeasureStraight = Callable[[Images], Evidence]
"""Evidence of one chunk of images, whatever runtime computes it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class StraightPaths:
    """Measures straight paths with PyTorch.

    Attributes:
        profiler: what is measured along the paths.
        prototypes: where they end; stored as files store images, since there may be thousands.
        prototype_profiles: cross-entropy of each prototype for its own label, in nats.
        mixing: mixing weights of the interior waypoints.
        head: judges the evidence.
    """

    profiler: PathProfiler
    prototypes: UInt8[Tensor, "label prototype channel height width"]
    prototype_profiles: Float[Tensor, "label prototype"]
    mixing: Float[Tensor, " waypoint"]
    head: Scorer

    @classmethod
    def of(cls, bundle: Bundle, classifier: Classifier, auxiliary: Classifier | None) -> "StraightPaths":
        """On the classifier's device; the bundle is left as it is."""
        device = classifier.device
        return cls(
            profiler=bundle.profiler(classifier, auxiliary),
            prototypes=bundle.prototypes.images.to(device),
            prototype_profiles=bundle.prototype_profiles.to(device),
            mixing=bundle.mixing.to(device),
            # Modules move in place, and the bundle may serve detectors on other devices too.
            head=copy.deepcopy(bundle.head).to(device),
        )

    def __call__(self, images: Images) -> Evidence:
        """Measure one chunk of images."""
        paths = self.profiler.measure(images, self.prototypes, self.mixing)
        ends = self.prototype_profiles[paths.labels]
        return Evidence(
            paths=paths,
            scores=self.head(paths.features),
            profiles=torch.cat([paths.profiles, ends[:, :, None]], 2),
        )
