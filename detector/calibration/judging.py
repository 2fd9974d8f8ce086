"""From paths to the head that judges them: a first head, and heads that have met what fooled the one before."""

import dataclasses
import itertools
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from detector.bundle_record import ProxySource
from detector.calibration.adaptive import AdaptiveSettings, Paths, adaptive_stream
from detector.calibration.clean_only import fit_typicality, fixed_claim_weights
from detector.calibration.fitting import (
    Examples,
    collect_examples,
    fit_claim_weights,
    fit_head,
    loss_figures,
    require_proxies,
)
from detector.calibration.joining import joined_with_typicality
from detector.calibration.settings import CalibrationSettings
from detector.calibration.stream import Batch, Tally, clean_once, stream
from detector.head import Head
from detector.scorer import Scorer
from detector.types import LabelledImages, ProgressCallback


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judgement:
    """A head, and what goes with it.

    Attributes:
        claim_weights: how much each claim counts towards the suspected label.
        validate: proxies that do not know the detector and clean images, none of which it was fitted on; None where
            no proxies are made.
        figures: how it went, by name.
    """

    head: Scorer
    claim_weights: Float[Tensor, " claim"]
    validate: Examples | None
    figures: dict[str, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeadTrainer:
    """Fits a head on the evidence of paths that stand still.

    Attributes:
        learning, validation: images to learn from, and images that only say when to stop.
    """

    paths: Paths
    learning: LabelledImages
    validation: LabelledImages
    settings: CalibrationSettings
    generator: Generator
    chunk: int
    progress: ProgressCallback

    def judgement(self) -> Judgement:
        """Fit the head, and again after each round of proxies that know it.

        Without proxies it is fitted on clean images alone; beside black-box proxies, which no attack with gradients
        resembles much, they have their say too.
        """
        if self.settings.stream.proxies is None:
            return self._on_clean_images()
        fitting = self.settings.fitting
        n_validation = max(1, round(fitting.batches * fitting.validation_share))
        learn = self._examples(self.learning, fitting.batches - n_validation)
        validate = self._examples(self.validation, n_validation)
        head = fit_head(learn, validate, self.settings.hidden, fitting)
        figures = tally_figures(learn.tally + validate.tally)
        if self.settings.adaptive is not None:
            head, found = self._hardened(head, learn, validate, self.settings.adaptive)
            figures |= found
        figures |= loss_figures(head, validate)
        return Judgement(
            head=self._final(head, learn), claim_weights=fit_claim_weights(learn), validate=validate, figures=figures
        )

    def _final(self, head: Head, learn: Examples) -> Scorer:
        if self.settings.proxy_source is ProxySource.BLACK_BOX:
            return joined_with_typicality(head, learn.features[learn.is_proxy == 0])
        return head

    @torch.no_grad()
    def _on_clean_images(self) -> Judgement:
        """A head that says how untypical an image is, from no more images than it would meet beside proxies."""
        paths, features, claims = self.paths, [], []
        profiler, n_batches = paths.profiler, self.settings.fitting.batches
        batches = clean_once(profiler.classifier, self.learning, self.settings.stream, self.generator, self.chunk)
        for done, batch in enumerate(itertools.islice(batches, n_batches), 1):
            for images in profiler.split(batch.clean, paths.prototypes, paths.mixing):
                evidence = profiler.measure(images, paths.prototypes, paths.mixing)
                features.append(evidence.features)
                claims.append(evidence.claims)
            self.progress("measuring clean images", done, n_batches)
        return Judgement(
            head=fit_typicality(torch.cat(features)),
            claim_weights=fixed_claim_weights(torch.cat(claims)),
            validate=None,
            figures={"typical_images": float(sum(map(len, features)))},
        )

    def _hardened(
        self, head: Head, known: Examples, unknown: Examples, adaptive: AdaptiveSettings
    ) -> tuple[Head, dict[str, float]]:
        """The head of the last round, and how many proxies passed for another label in each."""
        figures: dict[str, float] = {}
        for number in range(adaptive.rounds):
            met = self._adaptive(head, self.learning, adaptive, adaptive.batches)
            checked = self._adaptive(head, self.validation, adaptive, max(1, adaptive.batches // 5))
            figures[f"adaptive_proxies_in_round_{number + 1}"] = float(met.is_proxy.sum())
            known, unknown = known.with_more(met, adaptive.copies), unknown.with_more(checked, adaptive.copies)
            head = fit_head(known, unknown, self.settings.hidden, self.settings.fitting)
        return head, figures

    def _examples(self, data: LabelledImages, n_batches: int) -> Examples:
        batches = stream(self.paths.profiler.classifier, data, self.settings.stream, self.generator, self.chunk)
        return require_proxies(self._collected(batches, n_batches))

    def _adaptive(self, head: Head, data: LabelledImages, settings: AdaptiveSettings, n_batches: int) -> Examples:
        batches = adaptive_stream(self.paths, head, data, settings, self.settings.stream, self.generator, self.chunk)
        return self._collected(batches, n_batches)

    def _collected(self, batches: Iterator[Batch], n_batches: int) -> Examples:
        paths = self.paths
        return collect_examples(paths.profiler, paths.prototypes, paths.mixing, batches, n_batches, self.progress)


def tally_figures(tally: Tally) -> dict[str, float]:
    """How making proxies went: the share that fooled the classifier and, without gradients, what that took."""
    figures = {"proxies_succeeded": tally.succeeded / max(1, tally.tried)}
    if tally.queries:
        figures |= {"proxy_queries": float(tally.queries), "queries_per_image": tally.queries / tally.tried}
    return figures
