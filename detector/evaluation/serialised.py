"""An experiment as JSON: the same figures as the page, for machines."""

import dataclasses
import math
from typing import Any

from detector.evaluation.experiment import Experiment
from detector.evaluation.results import RATES, AttackFigures, DetectorFigures, FalsePositives

RESULTS_SCHEMA_VERSION = 1


def as_document(experiment: Experiment) -> dict[str, Any]:
    """`detectors.<name>.attacks.<attack>.auroc` and so on; every estimate has `value`, `lower`, `upper`."""
    return {
        "schema_version": RESULTS_SCHEMA_VERSION,
        "n_clean": len(experiment.clean),
        "n_misclassified": len(experiment.misclassified),
        "n_seen_in_calibration": experiment.n_seen,
        "accuracy": experiment.accuracy,
        "detectors": {name: _detector(figures) for name, figures in experiment.figures.items()},
    }


def _detector(figures: DetectorFigures) -> dict[str, Any]:
    return {
        "forward_equivalents": figures.forward_equivalents,
        "clean": {str(found.nominal): _false_positives(found) for found in figures.clean},
        "misclassified": {str(found.nominal): _false_positives(found) for found in figures.misclassified},
        "attacks": {name: _attack(row) for name, row in figures.attacks.items()},
        "summary": {
            "mean_auroc": _finite(figures.mean_auroc),
            "worst_auroc": _finite(figures.worst_auroc),
            "mean_tpr": {str(rate): _finite(figures.mean_tpr(rate)) for rate in RATES},
            "small_perturbations_recovered": figures.small_recovered,
        },
    }


def _false_positives(found: FalsePositives) -> dict[str, Any]:
    return {
        "n": found.n,
        "is_within_binomial": found.is_within_binomial,
        **dataclasses.asdict(found.realised),
    }


def _attack(row: AttackFigures) -> dict[str, Any]:
    return {
        "n": row.n,
        "success_rate": row.success_rate,
        "mean_l2": row.mean_l2,
        "mean_linf": row.mean_linf,
        "auroc": dataclasses.asdict(row.auroc),
        "tpr": {str(rate): dataclasses.asdict(found) for rate, found in row.tpr.items()},
        "barrier_auroc": row.barrier_auroc,
        "recovered": None if row.recovered is None else dataclasses.asdict(row.recovered),
        "n_small": row.n_small,
        "n_small_recovered": row.n_small_recovered,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
