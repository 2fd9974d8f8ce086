"""Turns an experiment into what the page shows: summary, tables, curves and example paths."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from detector.detector import Detector
from detector.evaluation.adaptive import ADAPTIVE
from detector.evaluation.baseline_tables import baseline_attack_table, baseline_table
from detector.evaluation.example_paths import BAND_POTENTIAL, path_examples, profile_bands
from detector.evaluation.experiment import Experiment
from detector.evaluation.figures import ScoreGroup
from detector.evaluation.judgements import Judgement
from detector.evaluation.page import Page, Section
from detector.evaluation.result_tables import (
    attack_run_table,
    attack_table,
    comparison_table,
    natural_table,
    skipped_table,
)
from detector.evaluation.results import DetectorFigures
from detector.evaluation.stress_tables import adaptive_table, benign_table
from detector.evaluation.summary import summary_figures
from detector.evaluation.sweeps import sweep_panels
from detector.evaluation.tables import Table


def build_page(
    title: str, lead: str, facts: Sequence[tuple[str, str]], detector: Detector, name: str, experiment: Experiment
) -> Page:
    """The page of one detector, beside the others of the same run where there are any."""
    figures, judged = experiment.figures[name], experiment.judgements[name]
    attacks = worst_first(figures)
    return Page(
        title=title,
        lead=lead,
        facts=tuple(facts),
        summary=summary_figures(figures),
        sections=_sections(figures, experiment),
        bands=profile_bands(detector, experiment, judged, attacks),
        band_unit=BAND_POTENTIAL,
        score_groups=tuple(ScoreGroup(name=group, scores=judged[group].scores) for group in ("clean", *attacks)),
        threshold=detector.threshold(detector.false_positive_rate),
        roc={attack: roc_curve(judged["clean"], judged[attack]) for attack in attacks},
        sweeps=sweep_panels(experiment.specs, experiment.attacked, figures),
        examples=path_examples(detector, experiment, judged, attacks),
        footer="Thresholds, figures and pictures come from the run that wrote this page.",
        false_positive_rate=detector.false_positive_rate,
    )


def worst_first(figures: DetectorFigures) -> list[str]:
    """Attacks by AUROC, lowest first; those with too few successes to count come last."""
    rows, counted = figures.attacks, figures.counted
    return sorted(rows, key=lambda name: (name not in counted, rows[name].auroc.value))


def _sections(figures: DetectorFigures, experiment: Experiment) -> tuple[Section, ...]:
    """The tables under their headings, without what is empty."""
    comparison = comparison_table(list(experiment.figures.values())) if len(experiment.figures) > 1 else None
    baselines = experiment.baselines
    titles = {spec.name: spec.title for spec in experiment.specs} | {spec.name: spec.title for spec in ADAPTIVE}
    found = {
        "Attacks": (
            comparison,
            attack_table(figures),
            attack_run_table(experiment.specs, experiment.attacked),
            skipped_table(titles, experiment.skipped),
        ),
        "Natural images": (natural_table(figures), benign_table(figures.benign)),
        "Attacks that know the detector": (adaptive_table(figures.adaptive),),
        "Baselines": (baseline_table(figures, baselines), baseline_attack_table(figures, baselines))
        if baselines
        else (),
    }
    return tuple(Section(title=title, tables=shown) for title, tables in found.items() if (shown := _not_empty(tables)))


def _not_empty(tables: Sequence[Table | None]) -> tuple[Table, ...]:
    return tuple(table for table in tables if table is not None and table.rows)


def roc_curve(
    clean: Judgement, attacked: Judgement
) -> tuple[Float[ndarray, " threshold"], Float[ndarray, " threshold"]]:
    """False- and true-positive rates at every threshold that a clean score gives, both rising."""
    thresholds = np.sort(clean.scores)[::-1]
    false_positive_rate = np.arange(1, len(thresholds) + 1) / len(thresholds)
    n_below = np.searchsorted(np.sort(attacked.scores), thresholds, side="left")
    return false_positive_rate, 1 - n_below / len(attacked.scores)
