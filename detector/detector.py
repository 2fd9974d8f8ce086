"""From images to verdicts."""

import copy
import dataclasses
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from detector.acceleration import AccelerationSettings
from detector.bundle import Bundle
from detector.escalation import Escalator, searching
from detector.evidence import Evidence
from detector.inspection import Inspection
from detector.judging import Judge
from detector.passes import pixels_per_pass as pixels_at_once
from detector.second_looks import SecondLooks, Ticket
from detector.second_opinion import EscalationSettings, SecondOpinion
from detector.straight import MeasureStraight, StraightPaths, images_in_full, images_per_step
from detector.transfers import Prefetched, lane_to
from detector.types import Classifier, ImageError, Images, Labels, ProgressCallback, no_progress
from detector.verdict import Verdict


@dataclasses.dataclass(frozen=True, kw_only=True)
class JointOutputs:
    """What an attacker who knows everything sees: the classifier's answer and the detector's score of it.

    Attributes:
        logits: shape (image, label).
        scores: log-odds of the head, or, where images may leave early, what `detector.early_exit` makes of them; shape
            (image,).
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
            follows it, not the number of images. What suits the classifier's device if not given.
        auxiliary: the second network that the bundle was calibrated with, where it was.
        measure_straight: another runtime's rendering of the straight paths of this very bundle; PyTorch's if not given.
        search_classifier: the same classifier in another runtime, differentiable in its pixels and on the same device,
            with which a second opinion searches and looks at lower paths; `classifier` itself if not given.
        acceleration: what may be traded for speed where PyTorch measures straight paths; nothing by default.

    Raises:
        BundleError: the bundle belongs to another classifier, or to another auxiliary one.
        CalibrationError: the bundle's calibration images cannot support the rate.
        DetectorError: the classifier and the one to search with are on two devices.
    """

    def __init__(
        self,
        classifier: Classifier,
        bundle: Bundle,
        false_positive_rate: float = 0.05,
        pixels_per_pass: int | None = None,
        auxiliary: Classifier | None = None,
        measure_straight: MeasureStraight | None = None,
        search_classifier: Classifier | None = None,
        acceleration: AccelerationSettings | None = None,
    ) -> None:
        bundle.check_classifier(classifier)
        bundle.check_auxiliary(auxiliary)
        bundle.require(false_positive_rate)
        device = classifier.device
        self.classifier = classifier
        self.bundle = bundle
        self.false_positive_rate = false_positive_rate
        self._pixels_per_pass = pixels_at_once(device) if pixels_per_pass is None else pixels_per_pass
        self.straight_paths = StraightPaths.of(bundle, classifier, auxiliary, self._pixels_per_pass, acceleration)
        self._measure_straight = measure_straight or self.straight_paths
        # Not accelerated, or gradients would be rounded.
        self._exact_profiler = bundle.profiler(classifier, auxiliary)
        self._search_profiler = searching(self._exact_profiler, bundle, classifier, search_classifier)
        self.judge = Judge(
            conformal=bundle.conformal,
            available=bundle.prototypes.available,
            claim_weights=bundle.claim_weights.to(device),
        )
        self._second_opinion = _on_device(bundle.second_opinion, device)
        # Other runtimes measure every image in full.
        step = images_per_step if measure_straight is None else images_in_full
        self.images_per_step = step(bundle, self._pixels_per_pass)

    def inspect(
        self,
        images: Images,
        progress: ProgressCallback = no_progress,
        false_positive_rate: float | None = None,
    ) -> list[Verdict]:
        """Judge images with pixels in [0, 1]; one verdict each, in order, none depending on the others.

        Args:
            false_positive_rate: for these images; the detector's own if not given.

        Raises:
            ImageError: the images have another shape than the classifier takes, or pixels outside [0, 1].
            CalibrationError: the bundle's calibration images cannot support the rate.
        """
        self.check(images)
        rate = self.false_positive_rate if false_positive_rate is None else false_positive_rate
        self.supports(rate)
        inspection, n_begun = Inspection(self), 0
        parts = Prefetched(images, lane_to(self.classifier.device))
        verdicts: dict[Ticket, Verdict] = {}
        while len(verdicts) < len(images):
            rows = range(n_begun, min(n_begun + inspection.n_free, len(images)))
            if rows:
                inspection.admit(rows, parts.take(rows), [rate] * len(rows))
            n_begun = rows.stop
            verdicts |= inspection.step()
            progress("inspecting images", len(verdicts), len(images))
        return [verdicts[row] for row in range(len(images))]

    def check(self, images: Images) -> None:
        """Refuse images that cannot be judged.

        Raises:
            ImageError: the images have another shape than the classifier takes, or pixels outside [0, 1].
        """
        self.check_shape(images)
        if len(images) and not ((images >= 0) & (images <= 1) | images.isnan()).all():
            raise ImageError(
                f"pixels lie between {images.min():.3g} and {images.max():.3g}; "
                "give them in [0, 1], before any normalisation"
            )

    def check_shape(self, images: Images) -> None:
        """Refuse images of another shape than the classifier takes.

        Raises:
            ImageError: they have another shape.
        """
        shape = tuple(images.shape[1:])
        if shape != self.classifier.input_shape:
            raise ImageError(
                f"images of shape {shape} (channel, height, width) came where the classifier takes "
                f"{self.classifier.input_shape}; resize or convert them first"
            )

    def supports(self, false_positive_rate: float) -> None:
        """Refuse a rate that the bundle's calibration images cannot support.

        Raises:
            CalibrationError: it is not in (0, 1), so low that nothing could ever be flagged, or so high that images
                would be flagged after a first look.
        """
        self.bundle.require(false_positive_rate)

    @torch.no_grad()
    def measure(self, images: Images) -> Evidence:
        """Evidence and score of one chunk of images, a second opinion included, before any decision."""
        pixels = self._pixels(images)
        evidence = self.straight(pixels)
        opinion, paths = self._second_opinion, evidence.paths
        if opinion is None:
            return evidence
        escalator = self._escalator(opinion.settings, self.images_per_step)
        scores = escalator.revised(opinion, pixels, paths.labels, paths.features, evidence.scores)
        return dataclasses.replace(evidence, scores=scores)

    @torch.no_grad()
    def straight(self, images: Images) -> Evidence:
        """The same without a second opinion: what the straight paths show."""
        return self._measure_straight(self._pixels(images))

    def in_doubt(self, evidence: Evidence) -> Bool[Tensor, " image"]:
        """Which images are decided by a second opinion; none where the bundle has none."""
        if self._second_opinion is None:
            return torch.zeros_like(evidence.scores, dtype=torch.bool)
        return self._second_opinion.is_doubtful(evidence.scores) & self.judge.is_decidable(evidence)

    def second_looks(self, images_per_step: int) -> SecondLooks | None:
        """Where images in doubt are searched, the paths of so many at once; nothing without a second opinion."""
        if self._second_opinion is None:
            return None
        # Twice as many places as images whose paths have slots: a slot that is left is taken by another image's path.
        return SecondLooks(self._escalator(self._second_opinion.settings, images_per_step), 2 * images_per_step)

    def revised(self, evidence: Evidence, found: Float[Tensor, "image feature"]) -> Evidence:
        """The evidence of images in doubt, their scores being what the second opinion makes of searched paths."""
        if self._second_opinion is None:
            return evidence
        scores = self._second_opinion.revised(torch.cat([evidence.paths.features, found], 1))
        return dataclasses.replace(evidence, scores=scores)

    def verdicts(self, evidence: Evidence, false_positive_rates: Sequence[float]) -> list[Verdict]:
        """What follows from the evidence, one verdict an image, each at its own rate."""
        return self.judge.verdicts(evidence, false_positive_rates)

    def joint(self, images: Images, labels: Labels, _generator: Generator | None = None) -> JointOutputs:
        """Logits, and the scores that the images would get if the classifier named these labels.

        Differentiable in the pixels where the classifier is, for attacks that know the detector: no cut-off hides a
        gradient. A second opinion is not asked. Where images may leave early, the score is that of the easier of the
        two ways to pass at the detector's own rate.
        """
        straight = self.straight_paths
        paths = self._exact_profiler.measure_as(images, labels, straight.prototypes, straight.mixing)
        scores = straight.head.passing_gradients(paths.features)
        if straight.early_exit is not None:
            first = straight.early_exit.passing_gradients(straight.first_features(paths, straight.early_exit))
            scores = straight.early_exit.pursued(first, scores, self.threshold(self.false_positive_rate))
        return JointOutputs(logits=paths.logits, scores=scores)

    @property
    def joint_forward_equivalents(self) -> float:
        """Forward passes of one `joint`, a gradient not counted."""
        return float(self.bundle.forward_equivalents)

    def threshold(self, false_positive_rate: float) -> float:
        """The lowest score that is flagged at this rate.

        Raises:
            CalibrationError: the bundle's calibration images cannot support the rate.
        """
        self.supports(false_positive_rate)
        return self.bundle.conformal.threshold(false_positive_rate)

    def _escalator(self, settings: EscalationSettings, images_per_step: int) -> Escalator:
        """With passes that grow and shrink as the steps do."""
        return Escalator(
            profiler=self._search_profiler,
            prototypes=self.straight_paths.prototypes,
            mixing=self.straight_paths.mixing,
            settings=settings,
            pixels_per_pass=max(1, self._pixels_per_pass * images_per_step // self.images_per_step),
            paths_at_once=max(1, images_per_step * self.bundle.prototypes.n_prototypes),
        )

    def _pixels(self, images: Images) -> Images:
        return images.to(device=self.classifier.device, dtype=torch.float32)


def _on_device(opinion: SecondOpinion | None, device: torch.device) -> SecondOpinion | None:
    """A copy that moves nothing in the bundle."""
    return opinion and dataclasses.replace(opinion, head=copy.deepcopy(opinion.head).to(device))
