"""From paths to the head that judges them: a first head, and heads that have met what fooled the one before."""

import dataclasses
from collections.abc import Iterator

from torch import Generator

from detector.calibration.adaptive import AdaptiveSettings, Paths, adaptive_stream
from detector.calibration.fitting import Examples, collect_examples, fit_head, require_proxies
from detector.calibration.settings import CalibrationSettings
from detector.calibration.stream import Batch, stream
from detector.head import Head
from detector.types import LabelledImages, ProgressCallback


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judgement:
    """A head, and what it was fitted on and stopped by.

    Attributes:
        validate: proxies that do not know the detector and clean images, none of which it was fitted on.
        figures: how it went, by name.
    """

    head: Head
    learn: Examples
    validate: Examples
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
        """Fit the head, and again after each round of proxies that know it."""
        fitting = self.settings.fitting
        n_validation = max(1, round(fitting.batches * fitting.validation_share))
        learn = self._examples(self.learning, fitting.batches - n_validation)
        validate = self._examples(self.validation, n_validation)
        head = fit_head(learn, validate, self.settings.hidden, fitting)
        figures: dict[str, float] = {}
        if self.settings.adaptive is not None:
            head, figures = self._hardened(head, learn, validate, self.settings.adaptive)
        return Judgement(head=head, learn=learn, validate=validate, figures=figures)

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
