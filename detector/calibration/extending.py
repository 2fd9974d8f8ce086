"""What a finished bundle may get beyond its head: a second opinion on images in doubt, or an exit for clear ones."""

import dataclasses

from torch import Generator

from detector.bundle import Bundle
from detector.calibration.early_exit import ExitTrainee, with_early_exit
from detector.calibration.escalating import Trainee, with_second_opinion
from detector.calibration.settings import CalibrationSettings
from detector.calibration.stream import stream
from detector.early_exit import EarlyExitSettings
from detector.second_opinion import EscalationSettings
from detector.types import Classifier, LabelledImages, ProgressCallback


@dataclasses.dataclass(frozen=True, kw_only=True)
class Extending:
    """A calibration at its end.

    Attributes:
        learning, validation: images that the head learned from, and images that only said when to stop.
        clean: correctly classified images that p-values are read off, and that decide nothing else.
        chunk: images in one forward pass.
    """

    classifier: Classifier
    auxiliary: Classifier | None
    learning: LabelledImages
    validation: LabelledImages
    clean: LabelledImages
    settings: CalibrationSettings
    generator: Generator
    chunk: int
    progress: ProgressCallback

    def extended(self, bundle: Bundle) -> Bundle:
        """The bundle, with what its settings ask for where that was found to pay."""
        if self.settings.escalation is not None:
            return self._escalated(bundle, self.settings.escalation)
        if self.settings.early_exit is not None:
            return self._leaving(bundle, self.settings.early_exit)
        return bundle

    def _escalated(self, bundle: Bundle, settings: EscalationSettings) -> Bundle:
        learning, validation, trial = (
            stream(self.classifier, data, self.settings.stream, self.generator, self.chunk)
            for data in (self.learning, *halves(self.validation))
        )
        trainee = Trainee(
            classifier=self.classifier,
            bundle=bundle,
            learning=learning,
            validation=validation,
            trial=trial,
            clean=self.clean,
            chunk=self.chunk,
            progress=self.progress,
        )
        return with_second_opinion(trainee, settings, self.settings.fitting)

    def _leaving(self, bundle: Bundle, settings: EarlyExitSettings) -> Bundle:
        validation, trial = halves(self.validation)
        trainee = ExitTrainee(
            classifier=self.classifier,
            auxiliary=self.auxiliary,
            bundle=bundle,
            learning=self.learning,
            validation=validation,
            trial=trial,
            clean=self.clean,
            stream=self.settings.stream,
            progress=self.progress,
        )
        return with_early_exit(trainee, settings, self.settings.fitting, seed=self.settings.seed)


def halves(data: LabelledImages) -> tuple[LabelledImages, LabelledImages]:
    """One half to choose by, and one to say what the choice is worth."""
    half = len(data) // 2
    return data[:half], data[half:]
