"""What baselines are fitted on: the bundle's own images, and proxies drawn as its own were."""

import dataclasses
import itertools

import torch
from jaxtyping import Float64
from torch import Generator, Tensor

from detector.bundle_record import BundleRecord
from detector.calibration.recorded_settings import stream_settings
from detector.calibration.stream import Batch, correctly_classified, stream
from detector.evaluation.baselines.layers import Layers, layers_of_all, penultimate
from detector.evaluation.recovered_splits import RecoveredSplits
from detector.passes import waypoints_per_pass
from detector.types import CalibrationError, Classifier, LabelledImages, Labels, ProgressCallback, to_pixels


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaselineSettings:
    """How baselines are fitted.

    Attributes:
        batches: batches of the stream of clean images and proxies; the bundle's own settings say how large they are.
    """

    batches: int = 24


@dataclasses.dataclass(frozen=True, kw_only=True)
class Material:
    """What the classifier makes of the images that baselines are fitted on.

    Attributes:
        statistics, labels: of the statistics images that it gets right, with their labels.
        clean, proxies: of the stream over the learning images.
        conformal: the conformal images that it gets right.
    """

    statistics: Layers
    labels: Labels
    clean: Layers
    proxies: Layers
    conformal: LabelledImages

    @property
    def penultimate(self) -> tuple[Float64[Tensor, "_ dimension"], ...]:
        """Last representation of statistics images, clean images and proxies."""
        return tuple(penultimate(layers) for layers in (self.statistics, self.clean, self.proxies))


def gather_material(
    classifier: Classifier,
    record: BundleRecord,
    splits: RecoveredSplits,
    settings: BaselineSettings,
    seed: int,
    progress: ProgressCallback,
) -> Material:
    """Draw batches, and pass everything through the classifier once.

    Raises:
        BundleError: the bundle's settings of the stream are not understood.
        CalibrationError: the classifier gets hardly any image right, or no proxy fooled it.
    """
    chunk = waypoints_per_pass(classifier.input_shape)
    generator = Generator().manual_seed(seed)
    statistics, _ = correctly_classified(classifier, splits.statistics, chunk)
    conformal, _ = correctly_classified(classifier, splits.conformal, chunk)
    drawn: list[Batch] = []
    for batch in itertools.islice(
        stream(classifier, splits.learning, stream_settings(record), generator, chunk), settings.batches
    ):
        drawn.append(batch)
        progress("making proxies for the baselines", len(drawn), settings.batches)
    proxies = torch.cat([batch.proxies for batch in drawn])
    if len(proxies) == 0:
        raise CalibrationError(
            f"none of the proxies of {settings.batches} batches fooled the classifier, so no baseline can be fitted; "
            "draw more batches, or leave the baselines out"
        )
    return Material(
        statistics=layers_of_all(classifier, to_pixels(statistics.images)),
        labels=statistics.labels,
        clean=layers_of_all(classifier, torch.cat([batch.clean for batch in drawn])),
        proxies=layers_of_all(classifier, proxies),
        conformal=conformal,
    )
