"""Detectors by others, fitted on the images and proxies that a bundle was calibrated with, to be compared with it."""

from detector.evaluation.baselines.baseline import Baseline, FittedBaseline
from detector.evaluation.baselines.fitting import fit_baselines
from detector.evaluation.baselines.judging import (
    BaselineAttackFigures,
    BaselineFigures,
    baseline_figures,
)
from detector.evaluation.baselines.material import BaselineSettings

__all__ = [
    "Baseline",
    "BaselineAttackFigures",
    "BaselineFigures",
    "BaselineSettings",
    "FittedBaseline",
    "baseline_figures",
    "fit_baselines",
]
