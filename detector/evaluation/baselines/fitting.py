"""Fits every baseline on what a bundle was calibrated with."""

from detector.conformal import ConformalScores
from detector.detector import Detector
from detector.evaluation.baselines.barrier import linear_barrier
from detector.evaluation.baselines.baseline import Baseline, FittedBaseline, measure_all
from detector.evaluation.baselines.energy import Energy
from detector.evaluation.baselines.feature_squeezing import FeatureSqueezing
from detector.evaluation.baselines.lid import fit_local_dimensionality
from detector.evaluation.baselines.mahalanobis import fit_mahalanobis
from detector.evaluation.baselines.material import BaselineSettings, Material, gather_material
from detector.evaluation.baselines.max_softmax import MaxSoftmax
from detector.evaluation.baselines.nearest_neighbours import fit_nearest_neighbours
from detector.evaluation.recovered_splits import RecoveredSplits
from detector.types import ProgressCallback, no_progress, to_pixels


def fit_baselines(
    detector: Detector,
    splits: RecoveredSplits,
    *,
    seed: int,
    settings: BaselineSettings | None = None,
    progress: ProgressCallback = no_progress,
) -> tuple[FittedBaseline, ...]:
    """All baselines, with p-values from the images that give the bundle its own; one seed gives the same ones.

    The barrier is left out where the bundle has no prototypes.

    Raises:
        BundleError: the bundle's settings of the stream are not understood.
        CalibrationError: the classifier gets hardly any image right, or no proxy fooled it.
    """
    material = gather_material(
        detector.classifier, detector.bundle.record, splits, settings or BaselineSettings(), seed, progress
    )
    conformal = to_pixels(material.conformal.images)
    return tuple(
        FittedBaseline(
            baseline=baseline,
            classifier=detector.classifier,
            conformal=ConformalScores.of(measure_all(baseline, detector.classifier, conformal, progress)),
        )
        for baseline in _fitted(detector, material)
    )


def _fitted(detector: Detector, material: Material) -> list[Baseline]:
    classifier = detector.classifier
    layers = (material.clean, material.proxies)
    baselines: list[Baseline] = [
        MaxSoftmax(classifier=classifier),
        Energy(classifier=classifier),
        fit_mahalanobis(classifier, material.statistics, material.labels, *layers),
        fit_nearest_neighbours(classifier, *material.penultimate),
        fit_local_dimensionality(classifier, material.statistics, *layers),
        FeatureSqueezing(classifier=classifier),
    ]
    if detector.bundle.prototypes.n_prototypes:
        baselines.append(linear_barrier(classifier, detector.bundle))
    return baselines
