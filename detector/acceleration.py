"""Faster renderings of a profiler's classifiers, for whoever asks for them."""

import dataclasses

from detector.cuda_graphs import GraphedClassifier
from detector.half_precision import HalfPrecisionClassifier, Precision
from detector.profiles import PathProfiler
from detector.types import Classifier


@dataclasses.dataclass(frozen=True, kw_only=True)
class AccelerationSettings:
    """What may be traded for speed; nothing by default.

    Attributes:
        precision: what the classifiers compute in.
        cuda_graphs: replay calls as CUDA graphs; without effect on other devices.
    """

    precision: Precision = Precision.FLOAT32
    cuda_graphs: bool = False


def accelerated(profiler: PathProfiler, settings: AccelerationSettings) -> PathProfiler:
    """The same measurements with the classifier, and the auxiliary one, rendered as the settings say."""
    auxiliary = profiler.auxiliary
    if auxiliary is not None:
        auxiliary = dataclasses.replace(auxiliary, profiler=accelerated(auxiliary.profiler, settings))
    return dataclasses.replace(profiler, classifier=_rendered(profiler.classifier, settings), auxiliary=auxiliary)


def _rendered(classifier: Classifier, settings: AccelerationSettings) -> Classifier:
    if settings.precision is not Precision.FLOAT32:
        classifier = HalfPrecisionClassifier(classifier, settings.precision)
    if settings.cuda_graphs and classifier.device.type == "cuda":
        classifier = GraphedClassifier(classifier)
    return classifier
