"""From a classifier and clean images to a bundle."""

import dataclasses
import time
from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from detector.bundle import Bundle, digest_rows
from detector.calibration.adaptive import Paths
from detector.calibration.checks import check_auxiliary, check_gradients, check_images, check_numbers, check_start
from detector.calibration.extending import Extending
from detector.calibration.fitting import proxy_figures
from detector.calibration.judging import HeadTrainer, Judgement
from detector.calibration.learning import learn_prototypes
from detector.calibration.randomness import own_randomness
from detector.calibration.recording import Provenance, bundle_record, noted, used_digests
from detector.calibration.settings import CalibrationSettings
from detector.calibration.splits import Splits, split_held_out, without_validation
from detector.calibration.statistics import fit_gaussians, prototype_profiles
from detector.calibration.stream import Batch, correctly_classified, stream
from detector.conformal import ConformalScores, require_images
from detector.passes import waypoints_per_pass
from detector.profiles import Auxiliary, PathProfiler
from detector.prototypes.making import Workshop, make_prototypes
from detector.prototypes.prototype_set import PrototypeKind, PrototypeLabels, PrototypeSet
from detector.prototypes.selection import candidates_by_label
from detector.scorer import Scorer
from detector.types import Classifier, LabelledImages, ProgressCallback, no_progress, to_pixels


def calibrate(
    classifier: Classifier,
    *,
    references: LabelledImages,
    held_out: LabelledImages,
    settings: CalibrationSettings,
    provenance: Provenance,
    auxiliary: Classifier | None = None,
    start: Bundle | None = None,
    progress: ProgressCallback = no_progress,
) -> Bundle:
    """Fit everything a detector needs; the same seed and images give the same bundle on the same machine.

    Args:
        references: images that prototypes may be chosen from; the classifier's training images will do.
        held_out: images that the classifier was not trained on.
        auxiliary: a second network that looks at the same paths, best one that was trained adversarially.
        start: a bundle of the same classifier whose prototypes and mixing weights are taken over as they are.

    Raises:
        BundleError: `start` is of another classifier.
        ImageError: images that the classifier does not take.
        CalibrationError: too few images for the rates asked for, a classifier that gets none of them right, settings
            that need gradients where it has none, or p-values that would rest on images that `start` has learned from.
    """
    started = time.perf_counter()
    for data, role in ((references, "reference"), (held_out, "held-out")):
        check_images(classifier, data, role)
    check_auxiliary(classifier, auxiliary, settings)
    if start is not None:
        start.check_classifier(classifier)
    splits = split_held_out(held_out, references, settings.shares, settings.seed)
    check_numbers(splits, settings)
    if start is not None:
        check_start(start, splits, settings)
    check_gradients(classifier, settings, start)
    with own_randomness(settings.seed, classifier.device):
        calibration = _Calibration(classifier, references, splits, settings, progress)
        return calibration.run(provenance, auxiliary, start, started)


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
        self.has_images = torch.zeros(len(classifier.labels), dtype=torch.bool)
        self.has_images[splits.learning.labels] = True
        self.learning, self.validation = without_validation(splits.learning, settings.fitting.validation_share)

    def run(self, provenance: Provenance, auxiliary: Classifier | None, start: Bundle | None, started: float) -> Bundle:
        clean = self._clean_conformal()
        gaussians = fit_gaussians(self.classifier, self.splits.statistics, self.chunk)
        watching = {} if auxiliary is None else fit_gaussians(auxiliary, self.splits.statistics, self.chunk)
        alone = PathProfiler.on_device(self.classifier, gaussians)
        prototypes, mixing, figures = self._prototypes(alone) if start is None else taken_over(start)
        witness = None if auxiliary is None else self._witness(PathProfiler.on_device(auxiliary, watching), prototypes)
        paths = Paths(
            profiler=dataclasses.replace(alone, smoothings=self.settings.smoothings, auxiliary=witness),
            prototypes=prototypes.images.to(self.classifier.device),
            mixing=mixing.to(self.classifier.device),
            available=(prototypes.available & self.has_images).to(self.classifier.device),
        )
        judged = self._judged(paths)
        conformal = self._conformal(paths, judged.head, clean)
        digests = used_digests(self.splits, start)
        figures |= self._numbers(clean) | judged.figures
        if judged.validate is not None:
            figures |= proxy_figures(judged.head, conformal, judged.validate, self.settings.false_positive_rates)
        bundle = Bundle(
            record=bundle_record(
                paths.profiler,
                noted(provenance, prototypes.available & ~self.has_images),
                settings=self.settings,
                kinds=prototypes.kinds,
                n_features=judged.head.n_features,
                measured=figures,
                digests=digests,
                started=started,
            ),
            prototypes=prototypes,
            mixing=mixing,
            gaussians=gaussians,
            auxiliary_gaussians=watching,
            head=judged.head.cpu(),
            claim_weights=judged.claim_weights,
            conformal=conformal,
            prototype_profiles=prototype_profiles(self.classifier, prototypes),
            used_images=digest_rows(digests),
        )
        return self._extending(auxiliary, clean).extended(bundle)

    def _extending(self, auxiliary: Classifier | None, clean: LabelledImages) -> Extending:
        return Extending(
            classifier=self.classifier,
            auxiliary=auxiliary,
            learning=self.learning,
            validation=self.validation,
            clean=clean,
            settings=self.settings,
            generator=self.generator,
            chunk=self.chunk,
            progress=self.progress,
        )

    def _witness(self, profiler: PathProfiler, prototypes: PrototypeSet) -> Auxiliary:
        n_prototypes = min(self.settings.auxiliary_prototypes, prototypes.n_prototypes)
        return Auxiliary(profiler=profiler, n_prototypes=n_prototypes)

    def _judged(self, paths: Paths) -> Judgement:
        return HeadTrainer(
            paths=paths,
            learning=self.learning,
            validation=self.validation,
            settings=self.settings,
            generator=self.generator,
            chunk=self.chunk,
            progress=self.progress,
        ).judgement()

    def _numbers(self, clean: LabelledImages) -> dict[str, float]:
        accuracy = len(clean) / len(self.splits.conformal)
        sizes = {f"{name}_images": float(len(getattr(self.splits, name))) for name in _SPLIT_NAMES}
        return {"accuracy": accuracy, "dropped_images": float(self.splits.n_dropped)} | sizes

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
        if settings.prototype_labels is PrototypeLabels.ALL:
            labels = tuple(range(len(self.classifier.labels)))
        else:
            labels = tuple(sorted(candidates_by_label(self.classifier, self.references, self.chunk)))
        start = make_prototypes(
            settings.start_kind,
            Workshop(
                classifier=self.classifier,
                references=self.references,
                labels=labels,
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

    def _clean_conformal(self) -> LabelledImages:
        """The correctly classified images that nothing will be fitted on; refused at once if they are too few."""
        clean, _ = correctly_classified(self.classifier, self.splits.conformal, self.chunk)
        for rate in self.settings.false_positive_rates:
            require_images(len(clean), rate)
        return clean

    @torch.no_grad()
    def _conformal(self, paths: Paths, head: Scorer, clean: LabelledImages) -> ConformalScores:
        scores: list[Tensor] = []
        for part in torch.split(clean.images, self.chunk):
            pixels = to_pixels(part, self.classifier.device)
            scores.append(head(paths.profiler.features(pixels, paths.prototypes, paths.mixing)))
            self.progress("scoring calibration images", sum(map(len, scores)), len(clean))
        return ConformalScores.of(torch.cat(scores))


def taken_over(start: Bundle) -> tuple[PrototypeSet, Tensor, dict[str, float]]:
    """Another bundle's prototypes and mixing weights, and how learning them went."""
    figures = {name: value for name, value in start.record.measured.items() if name.startswith("learning_")}
    figures.pop("learning_images", None)
    return start.prototypes, start.mixing, figures


_SPLIT_NAMES = ("statistics", "learning", "conformal", "reserved")
