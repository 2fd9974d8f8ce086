"""From images to verdicts. Nothing else decides."""

import copy
import dataclasses
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from detector.bundle import Bundle
from detector.escalation import Escalator
from detector.passes import PIXELS_PER_PASS, images_per_pass
from detector.paths import barrier_height
from detector.profiles import PathEvidence
from detector.second_opinion import SecondOpinion
from detector.types import (
    Classifier,
    ImageError,
    Images,
    Labels,
    ProgressCallback,
    no_progress,
)
from detector.verdict import Decision, Outcome, Verdict


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the detector knows about some images before it decides.

    Attributes:
        paths: what the paths show.
        scores: log-odds of the head, shape (image,).
        profiles: cross-entropy in nats from image to prototype, shape (image, prototype, waypoint), ends included.
    """

    paths: PathEvidence
    scores: Float[Tensor, " image"]
    profiles: Float[Tensor, "image prototype waypoint"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class JointOutputs:
    """What an attacker who knows everything sees: the classifier's answer and the detector's score of it.

    Attributes:
        logits: shape (image, label).
        scores: log-odds of the head, shape (image,).
    """

    logits: Float[Tensor, "image label"]
    scores: Float[Tensor, " image"]


class Detector:
    """Judges images for one classifier with one bundle.

    Args:
        classifier: the network that is guarded; its digest must be the bundle's.
        bundle: what calibration made.
        false_positive_rate: share of clean images that may be flagged.
        pixels_per_pass: bound on the size of a forward pass, which holds the paths of at least one image; memory
            follows it, not the number of images.
        auxiliary: the second network that the bundle was calibrated with, where it was.

    Raises:
        BundleError: the bundle belongs to another classifier, or to another auxiliary one.
        CalibrationError: the bundle's calibration images cannot support the rate.
    """

    def __init__(
        self,
        classifier: Classifier,
        bundle: Bundle,
        false_positive_rate: float = 0.05,
        pixels_per_pass: int = PIXELS_PER_PASS,
        auxiliary: Classifier | None = None,
    ) -> None:
        bundle.check_classifier(classifier)
        bundle.check_auxiliary(auxiliary)
        bundle.conformal.require(false_positive_rate)
        device = classifier.device
        self.classifier = classifier
        self.bundle = bundle
        self.false_positive_rate = false_positive_rate
        self._pixels_per_pass = pixels_per_pass
        self._profiler = bundle.profiler(classifier, auxiliary)
        self._prototypes = bundle.prototypes.pixels().to(device)
        self._prototype_profiles = bundle.prototype_profiles.to(device)
        self._mixing = bundle.mixing.to(device)
        # Modules move in place, and the bundle may serve detectors on other devices too.
        self._head = copy.deepcopy(bundle.head).to(device)
        self._claim_weights = bundle.claim_weights.to(device)
        self._second_opinion = _on_device(bundle.second_opinion, device)
        n_waypoints = bundle.prototypes.n_prototypes * len(bundle.mixing)
        self._chunk = images_per_pass(classifier.input_shape, n_waypoints, pixels_per_pass)

    def inspect(self, images: Images, progress: ProgressCallback = no_progress) -> list[Verdict]:
        """Judge images with pixels in [0, 1]; one verdict each, in order, none depending on the others.

        Raises:
            ImageError: the images have another shape than the classifier takes, or pixels outside [0, 1].
        """
        self._check(images)
        verdicts: list[Verdict] = []
        for part in torch.split(images, self._chunk) if len(images) else ():
            verdicts += self._judge(self.measure(part))
            progress("inspecting images", len(verdicts), len(images))
        return verdicts

    @torch.no_grad()
    def measure(self, images: Images) -> Evidence:
        """Evidence and score of one chunk of images, before any decision."""
        pixels = images.to(device=self.classifier.device, dtype=torch.float32)
        paths = self._profiler.measure(pixels, self._prototypes, self._mixing)
        ends = self._prototype_profiles[paths.labels]
        return Evidence(
            paths=paths,
            scores=self._revised(pixels, paths, self._head(paths.features)),
            profiles=torch.cat([paths.profiles, ends[:, :, None]], 2),
        )

    def joint(self, images: Images, labels: Labels, _generator: Generator | None = None) -> JointOutputs:
        """Logits, and the scores that the images would get if the classifier named these labels.

        Differentiable in the pixels where the classifier is, for attacks that know the detector: no cut-off hides a
        gradient. A second opinion is not asked.
        """
        paths = self._profiler.measure_as(images, labels, self._prototypes, self._mixing)
        return JointOutputs(logits=paths.logits, scores=self._head.passing_gradients(paths.features))

    @property
    def joint_forward_equivalents(self) -> float:
        """Forward passes of one `joint`, a gradient not counted."""
        return float(self.bundle.forward_equivalents)

    def threshold(self, false_positive_rate: float) -> float:
        """The lowest score that is flagged at this rate.

        Raises:
            CalibrationError: the bundle's calibration images cannot support the rate.
        """
        return self.bundle.conformal.threshold(false_positive_rate)

    def _revised(self, pixels: Images, paths: PathEvidence, scores: Tensor) -> Tensor:
        """The scores, with a second opinion where the first leaves doubt and the bundle has one."""
        if self._second_opinion is None:
            return scores
        escalator = Escalator(
            profiler=self._profiler,
            prototypes=self._prototypes,
            mixing=self._mixing,
            settings=self._second_opinion.settings,
            pixels_per_pass=self._pixels_per_pass,
        )
        return escalator.revised(self._second_opinion, pixels, paths.labels, paths.features, scores)

    def _check(self, images: Images) -> None:
        shape = tuple(images.shape[1:])
        if shape != self.classifier.input_shape:
            raise ImageError(
                f"images of shape {shape} (channel, height, width) came where the classifier takes "
                f"{self.classifier.input_shape}; resize or convert them first"
            )
        if len(images) and not ((images >= 0) & (images <= 1) | images.isnan()).all():
            raise ImageError(
                f"pixels lie between {images.min():.3g} and {images.max():.3g}; "
                "give them in [0, 1], before any normalisation"
            )

    def _judge(self, evidence: Evidence) -> list[Verdict]:
        paths = evidence.paths
        p_values = self.bundle.conformal.p_values(evidence.scores).tolist()
        suspects = suspected_labels(paths, self._claim_weights).tolist()
        available = self.bundle.prototypes.available.tolist()
        scores, profiles = evidence.scores.tolist(), evidence.profiles.cpu()
        is_finite = _is_finite(evidence).tolist()
        verdicts = []
        for index, label in enumerate(paths.labels.tolist()):
            if not is_finite[index]:
                verdicts.append(self._undecided(label, Outcome.NON_FINITE))
            elif not available[label]:
                verdicts.append(self._undecided(label, Outcome.NO_PROTOTYPE))
            else:
                verdicts.append(self._decided(label, scores[index], p_values[index], suspects[index], profiles[index]))
        return verdicts

    def _decided(self, label: int, score: float, p_value: float, suspect: int, profiles: Tensor) -> Verdict:
        is_flagged = p_value <= self.false_positive_rate
        barrier, prototype, profile = _lowest(profiles)
        return Verdict(
            decision=Decision.ADVERSARIAL if is_flagged else Decision.CLEAN,
            label=label,
            score=score,
            p_value=p_value,
            false_positive_rate=self.false_positive_rate,
            barrier=barrier,
            prototype=prototype,
            suspected_label=suspect if is_flagged else None,
            outcome=Outcome.DECIDED,
            profile=tuple(profile),
        )

    def _undecided(self, label: int, outcome: Outcome) -> Verdict:
        return Verdict(
            decision=Decision.UNDECIDED,
            label=label,
            score=None,
            p_value=None,
            false_positive_rate=self.false_positive_rate,
            barrier=None,
            prototype=None,
            suspected_label=None,
            outcome=outcome,
            profile=(),
        )


def _on_device(opinion: SecondOpinion | None, device: torch.device) -> SecondOpinion | None:
    """A copy that moves nothing in the bundle."""
    return opinion and dataclasses.replace(opinion, head=copy.deepcopy(opinion.head).to(device))


def suspected_labels(paths: PathEvidence, claim_weights: Float[Tensor, " claim"]) -> Tensor:
    """The label, besides the predicted one, whose claims weigh most; shape (image,)."""
    standing = paths.claims @ claim_weights
    return standing.scatter(1, paths.labels[:, None], -torch.inf).argmax(1)


def _is_finite(evidence: Evidence) -> Tensor:
    """Whether everything that a verdict reports is a number, shape (image,)."""
    parts = (evidence.scores[:, None], evidence.paths.logits, evidence.profiles.flatten(1))
    return torch.cat(parts, 1).isfinite().all(1)


def _lowest(profiles: Float[Tensor, "prototype waypoint"]) -> tuple[float | None, int | None, Sequence[float]]:
    """Barrier, index and profile of the lowest path; nothing where there are no paths."""
    if len(profiles) == 0:
        return None, None, ()
    barriers = barrier_height(profiles)
    prototype = int(barriers.argmin())
    return float(barriers[prototype]), prototype, profiles[prototype].tolist()
