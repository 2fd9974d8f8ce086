"""Fits a second opinion on images in doubt, and keeps it only if it pays."""

import copy
import dataclasses
import itertools
from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from detector.bundle import Bundle
from detector.bundle_record import EscalationRecord
from detector.calibration.fitting import Examples, FittingSettings, fit_head
from detector.calibration.stream import Batch
from detector.conformal import ConformalScores
from detector.escalation import Escalator
from detector.scorer import Scorer
from detector.second_opinion import EscalationSettings, SecondOpinion, is_in_band
from detector.types import Classifier, Images, LabelledImages, ProgressCallback, to_pixels

FEWEST_DOUBTFUL = 32
"""Images of each kind that a second opinion needs at least."""

TRIAL_BATCHES = 12
"""Batches whose clean images and proxies say whether a second opinion pays; neither head has learned from them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trainee:
    """A finished bundle that may get a second opinion, and the images for that.

    Attributes:
        learning: batches to learn from.
        validation: of other images: they say when to stop, and where doubt begins and ends.
        trial: of yet others: they say whether the second opinion pays.
        clean: correctly classified images that p-values are read off, and that decide nothing else.
        chunk: images in one forward pass.
    """

    classifier: Classifier
    bundle: Bundle
    learning: Iterator[Batch]
    validation: Iterator[Batch]
    trial: Iterator[Batch]
    clean: LabelledImages
    chunk: int
    progress: ProgressCallback


def with_second_opinion(trainee: Trainee, settings: EscalationSettings, fitting: FittingSettings) -> Bundle:
    """The bundle, with a second opinion on images in doubt if that flags more proxies than chance explains.

    The bundle's record says in either case what was found. Its figures about proxies are then those of the trial.
    """
    judge = _Judge.of(trainee, settings)
    trial = _fitted(trainee, judge, fitting)
    bundle = trainee.bundle
    if trial is None:
        return bundle.noted({"escalation_kept": 0.0})
    rate = max(bundle.record.false_positive_rates)
    batches = list(itertools.islice(trainee.trial, TRIAL_BATCHES))
    clean, proxies = (
        judge.scores(trial.opinion, torch.cat(images).cpu(), trainee)
        for images in ([batch.clean for batch in batches], [batch.proxies for batch in batches])
    )
    flagged = [flagged_at(rate, *scores) for scores in zip(clean, proxies, strict=True)]
    is_worth_it, gain = pays(*flagged)
    found = {
        "escalation_kept": float(is_worth_it),
        f"escalation_gain_at_{rate}": gain,
        "doubtful_share": trial.doubtful_share,
        "escalation_forward_equivalents": trial.forward_equivalents,
    }
    if not is_worth_it:
        return bundle.noted(found)
    _, revised = judge.scores(trial.opinion, to_pixels(trainee.clean.images), trainee)
    found[f"proxies_flagged_at_{rate}"] = float(flagged[1].double().mean())
    stale = {name for name in bundle.record.measured if name.startswith("proxies_flagged_at_")} - found.keys()
    kept = {name: value for name, value in bundle.record.measured.items() if name not in stale}
    noted = bundle.noted(found, measured=kept, escalation=trial.record(bundle.record.hidden))
    return noted.replaced(second_opinion=trial.opinion, conformal=ConformalScores.of(revised))


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
    low, high = torch.quantile(
        clean_scores.double().cpu(), torch.tensor([1 - doubt[1], 1 - doubt[0]], dtype=torch.float64)
    )
    return float(low), float(high)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Judge:
    """The first head, and the searches that may follow it."""

    escalator: Escalator
    head: Scorer

    @classmethod
    def of(cls, trainee: Trainee, settings: EscalationSettings) -> "_Judge":
        bundle, device = trainee.bundle, trainee.classifier.device
        escalator = Escalator(
            profiler=bundle.profiler(trainee.classifier, None),
            prototypes=bundle.prototypes.images.to(device),
            mixing=bundle.mixing.to(device),
            settings=settings,
        )
        return cls(escalator=escalator, head=copy.deepcopy(bundle.head).to(device))

    @torch.no_grad()
    def first(self, images: Images) -> tuple[Int64[Tensor, " image"], Float[Tensor, "image feature"], Tensor]:
        """Labels, and features and scores of the straight paths."""
        profiler, prototypes, mixing = self.escalator.profiler, self.escalator.prototypes, self.escalator.mixing
        parts = [profiler.measure(part, prototypes, mixing) for part in profiler.split(images, prototypes, mixing)]
        features = torch.cat([part.features for part in parts])
        return torch.cat([part.labels for part in parts]), features, self.head(features)

    @torch.no_grad()
    def scores(
        self, opinion: SecondOpinion, images: Images, trainee: Trainee
    ) -> tuple[Float[Tensor, " image"], Float[Tensor, " image"]]:
        """Scores of images without and with the second opinion."""
        device = self.escalator.prototypes.device
        on_device = dataclasses.replace(opinion, head=copy.deepcopy(opinion.head).to(device))
        before, after = [], []
        for part in torch.split(images, trainee.chunk):
            pixels = part.to(device)
            labels, features, scores = self.first(pixels)
            before.append(scores)
            after.append(self.escalator.revised(on_device, pixels, labels, features, scores))
            trainee.progress("trying the second opinion", sum(map(len, before)), len(images))
        return torch.cat(before).cpu(), torch.cat(after).cpu()


def _fitted(trainee: Trainee, judge: _Judge, fitting: FittingSettings) -> Trial | None:
    """Search for the images of the batches that are in doubt, and fit a head on that; nothing if too few are."""
    n_validation = max(2, round(fitting.batches * fitting.validation_share))
    seen = list(itertools.islice(trainee.validation, n_validation))
    band = band_of(torch.cat([judge.first(batch.clean)[2] for batch in seen]), judge.escalator.settings.doubt)
    n_learned = max(2, fitting.batches - n_validation)
    learning = list(itertools.islice(trainee.learning, n_learned))
    learn, costs = _doubtful(judge, iter(learning), n_learned, band, trainee.progress)
    validate, _ = _doubtful(judge, iter(seen), n_validation, band, trainee.progress)
    kinds = [int((learn.is_proxy == kind).sum()) for kind in (0, 1)]
    if min(kinds) < FEWEST_DOUBTFUL or len(validate.is_proxy) == 0:
        return None
    second = fit_head(learn, validate, trainee.bundle.record.hidden, fitting)
    return Trial(
        opinion=SecondOpinion(settings=judge.escalator.settings, band=band, head=second.cpu()),
        doubtful_share=kinds[0] / sum(len(batch.clean) for batch in learning),
        forward_equivalents=float(costs.mean()),
    )


def _doubtful(
    judge: _Judge, batches: Iterator[Batch], n_batches: int, band: tuple[float, float], progress: ProgressCallback
) -> tuple[Examples, Float[Tensor, " image"]]:
    """Evidence of straight and searched paths of the images in doubt, and what each search cost."""
    device = judge.escalator.prototypes.device
    features, is_proxy, costs = [], [torch.zeros(0, device=device)], [torch.zeros(0)]
    for done, batch in enumerate(batches, 1):
        images = torch.cat([batch.clean, batch.proxies])
        labels, straight, scores = judge.first(images)
        rows = is_in_band(scores, band).nonzero()[:, 0]
        if len(rows):
            found, spent = judge.escalator.features(images[rows], labels[rows])
            features.append(torch.cat([straight[rows], found], 1))
            is_proxy.append((rows >= len(batch.clean)).float())
            costs.append(spent.cpu())
        progress("searching for images in doubt", done, n_batches)
    found_all = torch.cat(features) if features else torch.zeros(0, 1, device=device)
    return Examples.without_claims(found_all, torch.cat(is_proxy)), torch.cat(costs)


def flagged_at(
    false_positive_rate: float, clean: Float[Tensor, " clean"], proxies: Float[Tensor, " proxy"]
) -> Bool[Tensor, " proxy"]:
    """Which proxies have a p-value, among these clean images, of at most the rate."""
    return ConformalScores.of(clean).p_values(proxies) <= false_positive_rate


def pays(before: Bool[Tensor, " proxy"], after: Bool[Tensor, " proxy"]) -> tuple[bool, float]:
    """Whether more of the same proxies are flagged with the second opinion than without; and by which share.

    More means by more than twice the standard error of the paired difference. Proxies of one source image are alike,
    which this does not count, so that a gain near the limit is weaker evidence than it seems.
    """
    difference = after.double() - before.double()
    gain = float(difference.mean())
    error = float(difference.std(correction=0)) / max(1, len(difference)) ** 0.5
    return gain > 2 * error, gain
