"""A run as JSON: the same figures as the page, for machines. Schema 2.

    schema_version, bundle (the first), run (what it was made with: digests, limit, seed, versions)
    n_clean, n_misclassified, n_seen_in_calibration, accuracy
    attacks.NAME    what it is, and how the first bundle saw it; without a success n is 0 and figures are null
    clean, misclassified    n, flagged, flagged_interval, within_binomial
    benign          a list, one entry a corruption and severity
    adaptive.NAME   attacks that know the bundle
    summary         mean and worst over the attacks that are `in_summary`, and the worst case of each image
    cost            all that a second run of the same may change, and the forward passes
    baselines.NAME  detectors of others, fitted on the first bundle's calibration images
    skipped.NAME    why an attack gave nothing to judge
    others.BUNDLE   attacks, clean, misclassified, benign, adaptive, summary and cost of each further bundle

Rates are keys, as text ("0.05"); an interval is [lower, upper] of 95 %, beside its figure under the same name with
`_interval`. Numbers are never NaN or infinite: what does not exist is null.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from detector.evaluation.adaptive import AdaptiveFigures
from detector.evaluation.attacked import AttackedImages
from detector.evaluation.attacks import AttackSpec
from detector.evaluation.baselines import BaselineAttackFigures, BaselineFigures
from detector.evaluation.benign import BenignFigures
from detector.evaluation.experiment import Experiment
from detector.evaluation.judgements import RATES, FalsePositives
from detector.evaluation.metrics import Estimate, WorstCase
from detector.evaluation.results import MIN_SUCCESSES, AttackFigures, DetectorFigures

RESULTS_SCHEMA_VERSION = 2


def as_document(experiment: Experiment, run: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that was found.

    Args:
        run: what the run was made with, in plain types.
    """
    first, *others = experiment.figures
    return {
        "schema_version": RESULTS_SCHEMA_VERSION,
        "bundle": first,
        "run": dict(run),
        "n_clean": len(experiment.clean),
        "n_misclassified": len(experiment.misclassified),
        "n_seen_in_calibration": experiment.n_seen,
        "accuracy": experiment.accuracy,
        **_detector(experiment, experiment.figures[first]),
        "baselines": {name: _baseline(figures) for name, figures in experiment.baselines.items()},
        "skipped": dict(experiment.skipped),
        "others": {name: _detector(experiment, experiment.figures[name]) for name in others},
    }


def _detector(experiment: Experiment, figures: DetectorFigures) -> dict[str, Any]:
    return {
        "attacks": {
            spec.name: _attack(spec, experiment.attacked[spec.name], figures.attacks.get(spec.name))
            for spec in experiment.specs
            if spec.name in experiment.attacked
        },
        "clean": _natural(figures.clean),
        "misclassified": _natural(figures.misclassified),
        "benign": [_benign(found) for found in figures.benign],
        "adaptive": {found.name: _adaptive(found) for found in figures.adaptive},
        "summary": {
            **_summary(figures),
            "small_recovered": figures.small_recovered,
            "worst_case": None if figures.worst_case is None else _seen(figures.worst_case),
        },
        "cost": {
            "forward_equivalents": figures.forward_equivalents,
            "images_per_second": figures.images_per_second,
            "attack_seconds": {name: made.seconds for name, made in experiment.attacked.items()},
            "adaptive_seconds": {found.name: found.seconds for found in figures.adaptive},
        },
    }


def _attack(spec: AttackSpec, made: AttackedImages, figures: AttackFigures | None) -> dict[str, Any]:
    return {
        "title": spec.title,
        "method": spec.method,
        "strength": spec.strength,
        "strength_unit": str(spec.strength_unit),
        "n_tried": made.n_tried,
        "n_invalid": made.n_invalid,
        "n": len(made.sources),
        "success_rate": made.success_rate,
        "in_summary": len(made.sources) >= MIN_SUCCESSES,
        "survives_rounding": figures and figures.survives_rounding,
        "mean_l2": figures and figures.mean_l2,
        "mean_linf": figures and figures.mean_linf,
        **_estimate("auroc", figures.auroc if figures else None),
        **_rates("tpr", figures.tpr if figures else {}),
        "barrier_auroc": figures and figures.barrier_auroc,
        **_estimate("recovered", figures.recovered if figures else None),
        "n_small": figures.n_small if figures else 0,
        "n_small_recovered": figures.n_small_recovered if figures else 0,
    }


def _natural(found: Sequence[FalsePositives]) -> dict[str, Any]:
    return {
        "n": found[0].n if found else 0,
        **_rates("flagged", {one.nominal: one.realised for one in found}),
        "within_binomial": {str(one.nominal): one.is_within_binomial for one in found},
    }


def _benign(figures: BenignFigures) -> dict[str, Any]:
    return {
        "corruption": str(figures.corruption),
        "severity": figures.severity,
        "still_right": figures.still_right,
        **_natural(figures.false_positives),
    }


def _adaptive(figures: AdaptiveFigures) -> dict[str, Any]:
    return {
        "title": figures.title,
        "radius": figures.radius,
        "n": figures.n,
        **_estimate("reached", figures.reached),
        **_rates("evaded", figures.evaded),
        "evaded_rounded": figures.evaded_rounded,
        "undefended": figures.undefended,
        "first_loss": _finite(figures.first_loss),
        "last_loss": _finite(figures.last_loss),
    }


def _baseline(figures: BaselineFigures) -> dict[str, Any]:
    return {
        "title": figures.title,
        "forward_equivalents": figures.forward_equivalents,
        "clean": _natural(figures.clean),
        "attacks": {name: _seen(found) for name, found in figures.attacks.items()},
        "summary": _summary(figures),
    }


def _summary(figures: DetectorFigures | BaselineFigures) -> dict[str, Any]:
    return {
        "mean_auroc": _finite(figures.mean_auroc),
        "worst_auroc": _finite(figures.worst_auroc),
        "mean_tpr": {str(rate): _finite(figures.mean_tpr(rate)) for rate in RATES},
    }


def _seen(figures: BaselineAttackFigures | WorstCase) -> dict[str, Any]:
    return {"n": figures.n, **_estimate("auroc", figures.auroc), **_rates("tpr", figures.tpr)}


def _estimate(name: str, estimate: Estimate | None) -> dict[str, Any]:
    return {name: estimate and estimate.value, f"{name}_interval": estimate and [estimate.lower, estimate.upper]}


def _rates(name: str, found: Mapping[float, Estimate]) -> dict[str, Any]:
    estimates = {str(rate): found.get(rate) for rate in RATES}
    return {
        name: {rate: one and one.value for rate, one in estimates.items()},
        f"{name}_interval": {rate: one and [one.lower, one.upper] for rate, one in estimates.items()},
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
