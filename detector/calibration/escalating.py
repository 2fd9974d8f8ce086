"""Fits a second opinion on images in doubt, and keeps it only if it pays."""

import copy
import dataclasses
import itertools
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from detector.bundle import Bundle
from detector.bundle_record import EscalationRecord
from detector.calibration.fitting import Examples, FittingSettings, fit_head
from detector.calibration.stream import Batch
from detector.conformal import ConformalScores
from detector.escalation import Escalator
from detector.head import Head
from detector.profiles import PathProfiler
from detector.second_opinion import EscalationSettings, SecondOpinion
from detector.types import CalibrationError, Classifier, Images, LabelledImages, ProgressCallback, to_pixels

FEWEST_DOUBTFUL = 32
"""Images of each kind that a second opinion needs at least."""

TRIAL_BATCHES = 12
"""Batches whose proxies say whether a second opinion pays; no head has learned from their images."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Doubtful:
    """Images in doubt, and how many there were besides.

    Attributes:
        examples: evidence of straight and searched paths.
        costs: forward equivalents of each search.
        n_clean: clean images that were looked at, in doubt or not.
    """

    examples: Examples
    costs: Float[Tensor, " image"]
    n_clean: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """A second opinion, and what searching was found to cost.

    Attributes:
        doubtful_share: of clean images.
        forward_equivalents: of one search, mean over the images in doubt.
    """

    opinion: SecondOpinion
    doubtful_share: float
    forward_equivalents: float

    def record(self, hidden: tuple[int, ...]) -> EscalationRecord:
        """What a bundle writes down about it."""
        settings = self.opinion.settings
        return EscalationRecord(
            method=settings.method,
            potential=settings.potential,
            budget=settings.budget,
            resolution=settings.resolution,
            doubt=settings.doubt,
            band=self.opinion.band,
            hidden=hidden,
            n_features=len(self.opinion.head.mean),
        )


def band_of(clean_scores: Float[Tensor, " image"], doubt: tuple[float, float]) -> tuple[float, float]:
    """The scores between which the given shares of clean images lie.

    They must not be the scores that p-values are read off: the band is part of what turns an image into its score.
    """
    low, high = torch.quantile(clean_scores.double(), torch.tensor([1 - doubt[1], 1 - doubt[0]], dtype=torch.float64))
    return float(low), float(high)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trainee:
    """A finished bundle that may get a second opinion, and the images for that.

    Attributes:
        learning, validation: batches to learn from, and of other images.
        clean: correctly classified images that p-values are read off, and nothing else.
        chunk: images in one forward pass.
    """

    classifier: Classifier
    bundle: Bundle
    learning: Iterator[Batch]
    validation: Iterator[Batch]
    clean: LabelledImages
    chunk: int
    progress: ProgressCallback


def with_second_opinion(trainee: Trainee, settings: EscalationSettings, fitting: FittingSettings) -> Bundle:
    """The bundle, with a second opinion on images in doubt if that flags more proxies than chance explains.

    The bundle's record says what was found in either case.

    Raises:
        CalibrationError: too few images are in doubt.
    """
    bundle, device = trainee.bundle, trainee.classifier.device
    gaussians = {name: fit.to(device) for name, fit in bundle.gaussians.items()}
    escalator = Escalator(
        profiler=PathProfiler(classifier=trainee.classifier, gaussians=gaussians),
        prototypes=bundle.prototypes.pixels().to(device),
        mixing=bundle.mixing.to(device),
        settings=settings,
    )
    head = copy.deepcopy(bundle.head).to(device)
    trial = _fitted(trainee, escalator, head, fitting)
    clean = _scores(trainee, escalator, head, trial.opinion, to_pixels(trainee.clean.images))
    proxies = torch.cat([batch.proxies.cpu() for batch in itertools.islice(trainee.validation, TRIAL_BATCHES)])
    tried = _scores(trainee, escalator, head, trial.opinion, proxies)
    conformal = ConformalScores.of(clean[1])
    rate = max(bundle.record.false_positive_rates)
    is_worth_it, gain = pays((ConformalScores.of(clean[0]), tried[0]), (conformal, tried[1]), rate)
    measured = bundle.record.measured | {
        "escalation_kept": float(is_worth_it),
        f"escalation_gain_at_{rate}": gain,
        "doubtful_share": trial.doubtful_share,
        "escalation_forward_equivalents": trial.forward_equivalents,
    }
    if not is_worth_it:
        return bundle.replaced(record=bundle.record.model_copy(update={"measured": measured}))
    record = bundle.record.model_copy(update={"measured": measured, "escalation": trial.record(bundle.record.hidden)})
    return bundle.replaced(record=record, second_opinion=trial.opinion, conformal=conformal)


def _fitted(trainee: Trainee, escalator: Escalator, head: Head, fitting: FittingSettings) -> Trial:
    """Search for the images of the batches that are in doubt, and fit a head on what that shows."""
    n_validation = max(1, round(fitting.batches * fitting.validation_share))
    seen = list(itertools.islice(trainee.validation, n_validation))
    with torch.no_grad():
        clean = torch.cat([_straight(escalator, head, batch.clean)[1] for batch in seen])
    band = band_of(clean, escalator.settings.doubt)
    n_learned = fitting.batches - n_validation
    learn = _doubtful(escalator, head, itertools.islice(trainee.learning, n_learned), n_learned, band, trainee.progress)
    validate = _doubtful(escalator, head, iter(seen), n_validation, band, trainee.progress)
    n_proxies = int(learn.examples.is_proxy.sum())
    n_clean = len(learn.examples.is_proxy) - n_proxies
    if min(n_proxies, n_clean) < FEWEST_DOUBTFUL:
        raise CalibrationError(
            f"{n_clean} clean images and {n_proxies} proxies are in doubt, and a second opinion needs "
            f"{FEWEST_DOUBTFUL} of each; give more batches, or calibrate without escalation"
        )
    second = fit_head(learn.examples, validate.examples, trainee.bundle.record.hidden, fitting)
    return Trial(
        opinion=SecondOpinion(settings=escalator.settings, band=band, head=second.cpu()),
        doubtful_share=n_clean / learn.n_clean,
        forward_equivalents=float(learn.costs.mean()),
    )


def _straight(escalator: Escalator, head: Head, images: Images) -> tuple[Tensor, Tensor]:
    """Features and scores of the straight paths."""
    features = escalator.profiler.features(images, escalator.prototypes, escalator.mixing)
    return features, head(features)


@torch.no_grad()
def _scores(
    trainee: Trainee, escalator: Escalator, head: Head, opinion: SecondOpinion, images: Images
) -> tuple[Float[Tensor, " image"], Float[Tensor, " image"]]:
    """Scores of images without and with the second opinion."""
    on_device = dataclasses.replace(opinion, head=copy.deepcopy(opinion.head).to(escalator.prototypes.device))
    before, after = [], []
    for part in torch.split(images, trainee.chunk):
        pixels = part.to(escalator.prototypes.device)
        features, scores = _straight(escalator, head, pixels)
        before.append(scores)
        after.append(escalator.revised(on_device, pixels, features, scores))
        trainee.progress("trying the second opinion", sum(map(len, before)), len(images))
    return torch.cat(before).cpu(), torch.cat(after).cpu()


@torch.no_grad()
def _doubtful(
    escalator: Escalator,
    head: Head,
    batches: Iterator[Batch],
    n_batches: int,
    band: tuple[float, float],
    progress: ProgressCallback,
) -> Doubtful:
    features, is_proxy, costs, n_clean = [], [], [], 0
    for done, batch in enumerate(batches, 1):
        images = torch.cat([batch.clean, batch.proxies])
        straight, scores = _straight(escalator, head, images)
        rows = ((scores >= band[0]) & (scores <= band[1])).nonzero()[:, 0]
        if len(rows):
            found, spent = escalator.features(images[rows])
            features.append(torch.cat([straight[rows], found], 1))
            is_proxy.append((rows >= len(batch.clean)).float())
            costs.append(spent)
        n_clean += len(batch.clean)
        progress("searching for images in doubt", done, n_batches)
    if not features:
        raise CalibrationError("no image is in doubt, so there is nothing to search; calibrate without escalation")
    nothing = torch.zeros(0, dtype=torch.int64)
    examples = Examples(
        features=torch.cat(features),
        is_proxy=torch.cat(is_proxy),
        claims=torch.zeros(0, 1, 1),
        labels=nothing,
        true_labels=nothing,
    )
    return Doubtful(examples=examples, costs=torch.cat(costs), n_clean=n_clean)


def pays(
    before: tuple[ConformalScores, Float[Tensor, " proxy"]],
    after: tuple[ConformalScores, Float[Tensor, " proxy"]],
    false_positive_rate: float,
) -> tuple[bool, float]:
    """Whether more proxies are flagged at the rate with the second opinion than without, beyond chance; and how many.

    Args:
        before, after: calibration scores, and scores of the same proxies, which no head has learned from.

    Beyond chance means by more than twice the standard error of the paired difference.
    """
    flagged = [conformal.p_values(scores) <= false_positive_rate for conformal, scores in (before, after)]
    difference = flagged[1].double() - flagged[0].double()
    gain = float(difference.mean())
    error = float(difference.std(correction=0)) / max(1, len(difference)) ** 0.5
    return gain > 2 * error, gain
