"""From a classifier and clean images to a bundle."""

import dataclasses
import datetime
import hashlib
import platform
import time
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Generator, Tensor

from detector.bundle import Bundle, digest_rows
from detector.bundle_record import SCHEMA_VERSION, BundleRecord
from detector.calibration.checks import check_images, check_numbers
from detector.calibration.escalating import Trainee, with_second_opinion
from detector.calibration.fitting import Examples, collect_examples, fit_claim_weights, fit_head, proxy_figures
from detector.calibration.learning import learn_prototypes
from detector.calibration.randomness import own_randomness
from detector.calibration.settings import CalibrationSettings
from detector.calibration.splits import Splits, image_digests, split_held_out, without_validation
from detector.calibration.statistics import fit_gaussians, prototype_profiles
from detector.calibration.stream import Batch, correctly_classified, stream
from detector.conformal import ConformalScores, require_images
from detector.head import Head
from detector.passes import waypoints_per_pass
from detector.potentials import LabelGaussians
from detector.profiles import PathProfiler
from detector.prototypes.making import Workshop, make_prototypes
from detector.prototypes.prototype_set import PrototypeKind, PrototypeSet
from detector.prototypes.selection import candidates_by_label
from detector.second_opinion import EscalationSettings
from detector.types import Classifier, LabelledImages, ProgressCallback, no_progress, to_pixels


@dataclasses.dataclass(frozen=True, kw_only=True)
class Provenance:
    """What the classifier's own package knows about it, kept in the bundle.

    Attributes:
        classifier: name under which it can be loaded again.
        preprocessing: how a picture becomes its input.
    """

    classifier: str
    preprocessing: Mapping[str, Any]


def calibrate(
    classifier: Classifier,
    *,
    references: LabelledImages,
    held_out: LabelledImages,
    settings: CalibrationSettings,
    provenance: Provenance,
    progress: ProgressCallback = no_progress,
) -> Bundle:
    """Fit everything a detector needs; the same seed and images give the same bundle on the same machine.

    Args:
        references: images that prototypes may be chosen from; the classifier's training images will do.
        held_out: images that the classifier was not trained on.

    Raises:
        ImageError: images that the classifier does not take.
        CalibrationError: too few images for the rates asked for, or a classifier that gets none of them right.
    """
    started = time.perf_counter()
    for data, role in ((references, "reference"), (held_out, "held-out")):
        check_images(classifier, data, role)
    splits = split_held_out(held_out, references, settings.shares, settings.seed)
    check_numbers(splits, settings)
    with own_randomness(settings.seed, classifier.device):
        return _Calibration(classifier, references, splits, settings, progress).run(provenance, started)


class _Calibration:
    """One calibration on its way; each step leaves what the next ones need."""

    def __init__(
        self,
        classifier: Classifier,
        references: LabelledImages,
        splits: Splits,
        settings: CalibrationSettings,
        progress: ProgressCallback,
    ) -> None:
        self.classifier = classifier
        self.references = references
        self.splits = splits
        self.settings = settings
        self.progress = progress
        self.chunk = waypoints_per_pass(classifier.input_shape)
        self.generator = Generator().manual_seed(settings.seed)
        self.learning, self.validation = without_validation(splits.learning, settings.fitting.validation_share)

    def run(self, provenance: Provenance, started: float) -> Bundle:
        clean = self._clean_conformal()
        gaussians = fit_gaussians(self.classifier, self.splits.statistics, self.chunk)
        on_device = {name: fit.to(self.classifier.device) for name, fit in gaussians.items()}
        profiler = PathProfiler(classifier=self.classifier, gaussians=on_device)
        prototypes, mixing, learning_figures = self._prototypes(profiler)
        learn, validate = self._examples(profiler, prototypes, mixing)
        head = fit_head(learn, validate, self.settings.hidden, self.settings.fitting)
        conformal = self._conformal(profiler, prototypes, mixing, head, clean)
        used = [self.splits.statistics, self.splits.learning, self.splits.conformal]
        digests = sorted({digest for part in used for digest in image_digests(part.images)})
        accuracy = len(clean) / len(self.splits.conformal)
        measured = {"accuracy": accuracy, "dropped_images": float(self.splits.n_dropped)}
        measured |= {f"{name}_images": float(len(getattr(self.splits, name))) for name in _SPLIT_NAMES}
        measured |= learning_figures
        measured |= proxy_figures(head, conformal, validate, self.settings.false_positive_rates)
        bundle = Bundle(
            record=self._record(provenance, prototypes.kinds, gaussians, head, measured, digests, started),
            prototypes=prototypes,
            mixing=mixing,
            gaussians=gaussians,
            head=head.cpu(),
            claim_weights=fit_claim_weights(learn),
            conformal=conformal,
            prototype_profiles=prototype_profiles(self.classifier, prototypes),
            used_images=digest_rows(digests),
        )
        return bundle if self.settings.escalation is None else self._escalated(bundle, clean, self.settings.escalation)

    def _escalated(self, bundle: Bundle, clean: LabelledImages, settings: EscalationSettings) -> Bundle:
        half = len(self.validation) // 2
        learning, validation, trial = (
            stream(self.classifier, data, self.settings.stream, self.generator, self.chunk)
            for data in (self.learning, self.validation[:half], self.validation[half:])
        )
        trainee = Trainee(
            classifier=self.classifier,
            bundle=bundle,
            learning=learning,
            validation=validation,
            trial=trial,
            clean=clean,
            chunk=self.chunk,
            progress=self.progress,
        )
        return with_second_opinion(trainee, settings, self.settings.fitting)

    def _streams(self) -> tuple[Iterator[Batch], Iterator[Batch]]:
        """Endless batches to learn from, and of images that nothing is learned from."""
        learning, validation = (
            stream(self.classifier, data, self.settings.stream, self.generator, self.chunk)
            for data in (self.learning, self.validation)
        )
        return learning, validation

    def _prototypes(self, profiler: PathProfiler) -> tuple[PrototypeSet, Tensor, dict[str, float]]:
        """Prototypes, mixing weights, and how learning them went.

        The images that say when to stop learning are those that later say when to stop fitting the head.
        """
        settings = self.settings
        known = candidates_by_label(self.classifier, self.references, self.chunk)
        start = make_prototypes(
            settings.start_kind,
            Workshop(
                classifier=self.classifier,
                references=self.references,
                labels=tuple(sorted(known)),
                n_prototypes=settings.n_prototypes,
                visualisation=settings.visualisation,
                star=settings.star,
                generator=self.generator,
                chunk=self.chunk,
                progress=self.progress,
            ),
        )
        mixing = torch.tensor(settings.mixing)
        if settings.prototype_kind is not PrototypeKind.LEARNED:
            return start, mixing, {}
        batches, unseen = self._streams()
        learned = learn_prototypes(
            profiler, start, mixing, batches, unseen, settings.learning, settings.hidden, self.progress
        )
        figures = {"learning_steps": float(learned.steps), "learning_loss": learned.loss} if learned.steps else {}
        return learned.prototypes, learned.mixing, figures

    def _examples(self, profiler: PathProfiler, prototypes: PrototypeSet, mixing: Tensor) -> tuple[Examples, Examples]:
        """What the head learns from, and what tells it when to stop: proxies of other images."""
        settings = self.settings.fitting
        n_validation = max(1, round(settings.batches * settings.validation_share))
        examples = []
        for data, n_batches in ((self.learning, settings.batches - n_validation), (self.validation, n_validation)):
            batches = stream(self.classifier, data, self.settings.stream, self.generator, self.chunk)
            pixels, weights = prototypes.pixels().to(self.classifier.device), mixing.to(self.classifier.device)
            examples.append(collect_examples(profiler, pixels, weights, batches, n_batches, self.progress))
        learn, validate = examples
        return learn, validate

    def _clean_conformal(self) -> LabelledImages:
        """The correctly classified images that nothing will be fitted on; refused at once if they are too few."""
        clean, _ = correctly_classified(self.classifier, self.splits.conformal, self.chunk)
        for rate in self.settings.false_positive_rates:
            require_images(len(clean), rate)
        return clean

    @torch.no_grad()
    def _conformal(
        self, profiler: PathProfiler, prototypes: PrototypeSet, mixing: Tensor, head: Head, clean: LabelledImages
    ) -> ConformalScores:
        device = self.classifier.device
        pixels, weights = prototypes.pixels().to(device), mixing.to(device)
        scores: list[Tensor] = []
        for part in torch.split(clean.images, self.chunk):
            scores.append(head(profiler.features(to_pixels(part, device), pixels, weights)))
            self.progress("scoring calibration images", sum(map(len, scores)), len(clean))
        return ConformalScores.of(torch.cat(scores))

    def _record(
        self,
        provenance: Provenance,
        prototype_kinds: tuple[PrototypeKind, ...],
        gaussians: Mapping[str, LabelGaussians],
        head: Head,
        measured: dict[str, float],
        digests: list[bytes],
        started: float,
    ) -> BundleRecord:
        settings = self.settings
        return BundleRecord(
            schema_version=SCHEMA_VERSION,
            classifier=provenance.classifier,
            classifier_digest=self.classifier.digest(),
            input_shape=self.classifier.input_shape,
            labels=self.classifier.labels,
            preprocessing=dict(provenance.preprocessing),
            prototype_kinds=prototype_kinds,
            blocks=tuple(gaussians),
            hidden=settings.hidden,
            n_features=len(head.mean),
            false_positive_rates=settings.false_positive_rates,
            seed=settings.seed,
            settings=dataclasses.asdict(settings),
            measured=measured,
            data_digest=hashlib.sha256(b"".join(digests)).hexdigest(),
            versions={"torch": torch.__version__, "python": platform.python_version()},
            created=datetime.datetime.now(datetime.UTC).date().isoformat(),
            seconds=round(time.perf_counter() - started, 1),
        )


_SPLIT_NAMES = ("statistics", "learning", "conformal", "reserved")
