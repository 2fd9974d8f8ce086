"""What a detector-aware attacker sees, with a detector behind it or without."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from detector.detector import Detector, JointOutputs
from detector.potentials import margin
from detector.types import CalibrationError, Classifier, Images, Labels

RATE = 0.05
"""False-positive rate at which an attack means to pass: that of SR@5."""

SLACK = 0.01
"""By how much the objective asks for more than the bare success, in logits and in log-odds of the score."""


@runtime_checkable
class Joint(Protocol):
    """A classifier together with what guards it.

    Attributes:
        guides: by label, images that pass for it without being flagged, shape (guide, channel, height, width).
        threshold: an image is flagged where its score is at least this.
    """

    @property
    def classifier(self) -> Classifier: ...

    @property
    def guides(self) -> Mapping[int, Tensor]: ...

    @property
    def threshold(self) -> float: ...

    def joint(self, images: Images, labels: Labels, generator: Generator) -> JointOutputs:
        """Logits, and the scores that the images would get if the classifier named these labels."""
        ...


AdaptiveAttack = Callable[[Joint, Images, Labels, Labels, Generator], Images]
"""(what is attacked, images, true labels, target labels, random numbers) → attacked images, pixels in [0, 1]."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Defended:
    """A classifier and the detector that guards it."""

    detector: Detector
    guides: Mapping[int, Tensor]

    @property
    def classifier(self) -> Classifier:
        """The network that is guarded."""
        return self.detector.classifier

    @property
    def threshold(self) -> float:
        """Of `RATE`; of the detector's own rate where its bundle cannot support that one."""
        try:
            return self.detector.threshold(RATE)
        except CalibrationError:
            return self.detector.threshold(self.detector.false_positive_rate)

    def joint(self, images: Images, labels: Labels, generator: Generator) -> JointOutputs:
        """What the detector makes of the images; what it draws by its key is drawn from the generator instead."""
        return self.detector.joint(images, labels, generator)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Undefended:
    """The same classifier with a score that never moves and is never flagged: what an attack does unhindered."""

    classifier: Classifier
    guides: Mapping[int, Tensor] = dataclasses.field(default_factory=dict)
    threshold: float = 1.0

    def joint(self, images: Images, _labels: Labels, _generator: Generator) -> JointOutputs:
        """The logits, and a score of zero that has a gradient of zero."""
        return JointOutputs(logits=self.classifier(images).logits, scores=0 * images.flatten(1).sum(1))


def objective(outputs: JointOutputs, targets: Labels, threshold: float) -> Float[Tensor, " image"]:
    """How far an image is from naming its target, and from passing the detector; 0 where it does both.

    Both parts are hinges: `max(0, slack - margin of the target) + max(0, slack + score - threshold)`.
    """
    missing = (SLACK - margin(outputs.logits, targets)).clamp_min(0)
    return missing + (SLACK + outputs.scores - threshold).clamp_min(0)


@torch.no_grad()
def mean_objective(joint: Joint, images: Images, targets: Labels, generator: Generator, chunk: int) -> float:
    """Mean of the objective over any number of images, `chunk` of them at a time."""
    values = [
        objective(joint.joint(part, named, generator), named, joint.threshold).double().cpu()
        for part, named in zip(torch.split(images, chunk), torch.split(targets, chunk), strict=True)
    ]
    return float(torch.cat(values).mean())
