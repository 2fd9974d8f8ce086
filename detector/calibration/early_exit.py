"""Fits a first look on fresh batches, bounds what may leave by it, and keeps it only if verdicts become cheaper."""

import dataclasses
import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from detector.bundle import Bundle
from detector.bundle_record import SCHEMA_VERSION, EarlyExitRecord
from detector.calibration.adaptive import Paths
from detector.calibration.clean_only import fit_typicality
from detector.calibration.early_exit_bound import Tried, bound_on, why_no_room, why_not
from detector.calibration.fitting import Examples, FittingSettings, collect_examples, fit_head, require_proxies
from detector.calibration.randomness import own_randomness
from detector.calibration.stream import StreamSettings, correctly_classified, stream
from detector.conformal import ConformalScores
from detector.early_exit import FLOOR, EarlyExit, EarlyExitSettings
from detector.first_look import FirstLook
from detector.passes import waypoints_per_pass
from detector.straight import StraightPaths
from detector.types import CalibrationError, Classifier, LabelledImages, ProgressCallback, no_progress, to_pixels


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExitTrainee:
    """A finished bundle that may let clear images leave, and the images for that, of which no two parts share any.

    Attributes:
        learning: what both judges of a first look learn from.
        validation: they say when to stop, what is ordinary, and below which score of the head images leave.
        trial: they decide whether it pays; the figures about proxies in the bundle's record are of these.
        clean: correctly classified images that p-values are read off, and that decide nothing else.
        stream: how the bundle drew clean images and proxies.
    """

    classifier: Classifier
    auxiliary: Classifier | None
    bundle: Bundle
    learning: LabelledImages
    validation: LabelledImages
    trial: LabelledImages
    clean: LabelledImages
    stream: StreamSettings
    progress: ProgressCallback = no_progress


def with_early_exit(
    trainee: ExitTrainee,
    settings: EarlyExitSettings,
    fitting: FittingSettings,
    *,
    seed: int,
    added_to: str | None = None,
) -> Bundle:
    """The bundle, with an early exit for clear images if that makes verdicts cheaper and no worse.

    The bundle's record says in either case what was found. Draws random numbers of its own, by the seed.

    Args:
        added_to: digest of the bundle's files, where it was a finished one.

    Raises:
        CalibrationError: the bundle searches paths of images in doubt, no proxy fooled the classifier, or there are
            too few clean images to say what is ordinary.
        BundleError: its auxiliary classifier looks along paths.
    """
    if trainee.bundle.second_opinion is not None:
        raise CalibrationError(
            "the bundle searches lower paths for images in doubt, and what leaves early is not to be in doubt; "
            "calibrate without --escalate, or without an early exit"
        )
    with own_randomness(seed, trainee.classifier.device):
        making = _Making(trainee, settings, fitting, Generator().manual_seed(seed))
        natural = making.natural(trainee.validation)
        exits = making.exits(natural)
        bound = bound_on(making.tried(exits.judged, trainee.validation), exits.judged(natural).detach().cpu(), settings)
        if bound is None:
            return _left_out(trainee.bundle, {}, "nothing can leave without losing what the full evidence shows")
        exits = dataclasses.replace(exits, leave_below=bound)
        trial, leaving = making.tried(exits.first_scores, trainee.trial), making.leaving(exits, trainee.trial)
        conformal = making.conformal(exits)
        record = making.record(exits, trial, conformal, seed, added_to)
    found = _figures(record)
    reason = why_no_room(leaving, trainee.bundle.record.false_positive_rates)
    reason = reason or why_not(trial, trainee.bundle.forward_equivalents / making.cost(leaving), settings)
    if reason is not None:
        return _left_out(trainee.bundle, found, reason)
    proxies = exits.combined(trial.first, trial.full)[trial.is_proxy > 0]
    for rate in trainee.bundle.record.false_positive_rates:
        found[f"proxies_flagged_at_{rate}"] = float((conformal.p_values(proxies) <= rate).double().mean())
    return trainee.bundle.noted(found, early_exit=record, schema_version=SCHEMA_VERSION).replaced(
        early_exit=exits.to(torch.device("cpu")), conformal=conformal
    )


class _Making:
    """What all steps share: the full evidence, the first look, and the random numbers."""

    def __init__(
        self, trainee: ExitTrainee, settings: EarlyExitSettings, fitting: FittingSettings, generator: Generator
    ) -> None:
        self.trainee = trainee
        self.generator = generator
        self.fitting = fitting
        self.ordinary_share = settings.ordinary_share
        self.chunk = waypoints_per_pass(trainee.classifier.input_shape)
        self.straight = StraightPaths.of(trainee.bundle, trainee.classifier, trainee.auxiliary)
        looks = tuple(look for look in settings.looks if look in trainee.bundle.record.possible_looks)
        self.looks = FirstLook(profiler=self.straight.profiler, looks=looks)
        self.n_unseen = max(2, round(settings.batches * fitting.validation_share))
        self.n_learned = max(2, settings.batches - 2 * self.n_unseen)
        available = trainee.bundle.prototypes.available.to(trainee.classifier.device)
        self.first = Paths(
            profiler=self.looks.alone,
            prototypes=self.straight.prototypes[:, :0],
            mixing=self.straight.mixing,
            available=available,
        )

    def exits(self, natural: Tensor) -> EarlyExit:
        """Both judges of the first look; nothing leaves as long as there is no bound for the head.

        Args:
            natural: what it shows of the validation's clean images.
        """
        learn = require_proxies(self._examples(self.first, self.trainee.learning, self.n_learned))
        validate = require_proxies(self._examples(self.first, self.trainee.validation, self.n_unseen))
        head = fit_head(learn, validate, self.trainee.bundle.record.hidden, self.fitting)
        ordinary = fit_typicality(self.natural(self.trainee.learning))
        # Of images that it was not fitted to, which it finds further away than its own.
        distances = ordinary(natural).double()
        return EarlyExit(
            looks=self.looks.looks,
            head=head,
            ordinary=ordinary,
            leave_below=-math.inf,
            ordinary_below=float(distances.quantile(self.ordinary_share)),
        )

    @torch.no_grad()
    def tried(self, judged: Callable[[Tensor], Tensor], data: LabelledImages) -> Tried:
        """Both scores of fresh batches of these images.

        Args:
            judged: makes the first score of what the first look shows.
        """
        straight = self.straight
        full = Paths(
            profiler=straight.profiler,
            prototypes=straight.prototypes,
            mixing=straight.mixing,
            available=self.first.available,
        )
        examples = require_proxies(self._examples(full, data, self.n_unseen))
        columns = self.looks.columns(examples.features.shape[1]).to(examples.features.device)
        return Tried(
            first=judged(examples.features[:, columns]).cpu(),
            full=straight.head(examples.features).cpu(),
            is_proxy=examples.is_proxy.cpu(),
        )

    @torch.no_grad()
    def natural(self, data: LabelledImages) -> Tensor:
        """What the first look shows of clean images as they are, shape (image, feature)."""
        clean, _ = correctly_classified(self.trainee.classifier, data, self.chunk)
        pixels = (to_pixels(part, self.trainee.classifier.device) for part in torch.split(clean.images, self.chunk))
        return torch.cat([self.looks.glance(part).features for part in pixels])

    def leaving(self, exits: EarlyExit, data: LabelledImages) -> float:
        """Share of clean images that leave."""
        return float(exits.leaves(exits.first_scores(self.natural(data))).double().mean())

    def cost(self, leaving: float) -> float:
        """Forward passes of an image on average, where such a share leaves."""
        return leaving * self.looks.forward_equivalents + (1 - leaving) * self.trainee.bundle.forward_equivalents

    @torch.no_grad()
    def conformal(self, exits: EarlyExit) -> ConformalScores:
        """The cascade's own scores of the images that p-values are read off."""
        straight, clean, scores = dataclasses.replace(self.straight, early_exit=exits), self.trainee.clean, []
        for part in torch.split(clean.images, self.chunk):
            scores.append(straight(to_pixels(part, self.trainee.classifier.device)).scores)
            self.trainee.progress("scoring calibration images", sum(map(len, scores)), len(clean))
        return ConformalScores.of(torch.cat(scores))

    def record(
        self, exits: EarlyExit, trial: Tried, conformal: ConformalScores, seed: int, added_to: str | None
    ) -> EarlyExitRecord:
        share = float((conformal.scores < FLOOR).double().mean())
        return EarlyExitRecord(
            looks=exits.looks,
            leave_below=exits.leave_below,
            ordinary_below=exits.ordinary_below,
            hidden=self.trainee.bundle.record.hidden,
            n_features=exits.head.n_features,
            leaving_share=share,
            proxies_leaving=trial.leaving(0.0, 1),
            forward_equivalents=self.cost(share),
            auroc=trial.auroc(0.0),
            auroc_without=trial.auroc(-torch.inf),
            seed=seed,
            added_to=added_to,
        )

    def _examples(self, paths: Paths, data: LabelledImages, n_batches: int) -> Examples:
        trainee = self.trainee
        batches = stream(trainee.classifier, data, trainee.stream, self.generator, self.chunk)
        return collect_examples(paths.profiler, paths.prototypes, paths.mixing, batches, n_batches, trainee.progress)


def _figures(record: EarlyExitRecord) -> dict[str, float]:
    names = ("leaving_share", "proxies_leaving", "forward_equivalents", "auroc", "auroc_without")
    return {"early_exit_kept": 1.0} | {f"early_exit_{name}": getattr(record, name) for name in names}


def _left_out(bundle: Bundle, found: dict[str, float], reason: str) -> Bundle:
    """As it was, with what was found; a finished bundle that had an early exit keeps it."""
    sentence = f"An early exit was tried and left out: {reason}."
    return bundle.noted(found | {"early_exit_kept": 0.0}, notes=(*bundle.record.notes, sentence))
