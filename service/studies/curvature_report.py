"""What the study of curvature says."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from detector.evaluation.metrics import Estimate
from detector.evaluation.tables import Table
from service.studies.claims import as_data, figure_text, is_above, mean_estimate
from service.studies.curvature_statistics import (
    CONTROL,
    Foretold,
    Grid,
    Rival,
    hits,
    lead_over_controls,
    regret,
    rivals_of,
    spearman,
)
from service.studies.plots import AxisStyle, Scale, interval_figure, scatter_figure
from service.studies.report import Finding, Plot, StudyReport

PAPER = "carried over from Singh et al. 2024, arXiv 2406.16300, which is about paths between networks"
Correlations = Mapping[str, Estimate | None]
"""By prediction, the one that the claims are about first."""

FULL_EXPANSION, EACH_EXPANSION = 3, 6
"""Forward equivalents of an image's value and gradient, and of each chord's second derivative."""

DETECTOR_POINTS = 2
"""Waypoints at which a detector measures a path."""


def report_of(
    foretold: Mapping[str, Foretold], chords: Grid, facts: tuple[tuple[str, str], ...], seed: int
) -> StudyReport:
    """Sentences, plots and tables; the first potential is the one that the claims are about."""
    main = next(iter(foretold.values()))
    n_images, n_prototypes = main.true.shape
    rivals = rivals_of(foretold, chords)
    correlations = {name: spearman(rival, seed) for name, rival in rivals.items()}
    lead = lead_over_controls(rivals, seed)
    return StudyReport(
        name="curvature",
        title="Barriers foretold from the curvature at the image",
        lead=(
            "Straight paths lead from each image to real prototypes of its label. Value, slope and curvature at the "
            "image and the value at the prototype give a cubic, whose rise is the prediction; the true barrier is "
            "measured along the path. Controls need no curvature: the length of the path, and how high it ends."
        ),
        facts=(
            *facts,
            ("images", str(n_images)),
            ("prototypes of each label", f"{n_prototypes} real"),
            ("points of a true profile", str(main.n_points)),
            *(
                (f"choosing, {n_points} inner points a path", cost_text(n_prototypes, n_points))
                for n_points in (main.n_points - 2, DETECTOR_POINTS)
            ),
        ),
        findings=findings_of(main, correlations, lead, seed),
        plots=_plots(foretold, correlations),
        tables=(_table(rivals, correlations),),
        data=_data(foretold, chords, rivals, correlations) | {"lead_over_controls": as_data(lead)},
    )


def findings_of(main: Foretold, correlations: Correlations, lead: Estimate | None, seed: int) -> tuple[Finding, ...]:
    """Correlation, controls and choice."""
    correlation = next(iter(correlations.values()))
    controls = "; ".join(
        f"{name.removeprefix(f'{CONTROL}: ')} {figure_text(found)}"
        for name, found in correlations.items()
        if name.startswith(CONTROL)
    )
    return (
        Finding(
            claim=f"A second-order expansion foretells how high the barrier is ({PAPER}).",
            measured=(
                f"Rank correlation of predicted and true cross-entropy barriers: {figure_text(correlation)}. Agrees if "
                "it is positive."
            ),
            agrees=is_above(correlation, 0),
        ),
        Finding(
            claim="The expansion foretells more than what needs no curvature (a control of this project's own).",
            measured=(
                f"Rank correlation of the controls: {controls}. The expansion exceeds the better one by "
                f"{figure_text(lead)}. Agrees if that is positive."
            ),
            agrees=is_above(lead, 0),
        ),
        _choice_finding(main, seed),
    )


def _choice_finding(main: Foretold, seed: int) -> Finding:
    """Whether the path predicted lowest is the lowest."""
    rival = Rival(predicted=main.predicted, true=main.true)
    right, chance = hits(rival)
    gain = mean_estimate(right - chance, seed)
    excess, random_excess = regret(rival)
    saved = mean_estimate(random_excess - excess, seed)
    return Finding(
        claim="The prototype with the lowest predicted barrier is truly the lowest more often than chance has it.",
        measured=(
            f"It is for {100 * right.mean():.0f} % of {len(right)} images, by chance for "
            f"{100 * chance.mean():.0f} % (paths that share a barrier of zero make chance easy): a difference of "
            f"{figure_text(gain)}. Against one drawn at random it saves {figure_text(saved)} nats. "
            "Agrees if the difference is positive."
        ),
        agrees=is_above(gain, 0),
    )


def cost_text(n_prototypes: int, n_points: int) -> str:
    """Forward equivalents of choosing one path by curvature and measuring it, against measuring all."""
    choosing, every = FULL_EXPANSION + EACH_EXPANSION * n_prototypes + n_points, n_points * n_prototypes
    return f"{choosing} forward equivalents an image against {every} for measuring every path"


def _plots(foretold: Mapping[str, Foretold], correlations: Correlations) -> tuple[Plot, ...]:
    main_name, main = next(iter(foretold.items()))
    nats = {"x": f"predicted {main_name} barrier, {main.unit}", "y": f"true barrier, {main.unit}"}
    points = (np.nan_to_num(main.predicted, nan=0).ravel(), main.true.ravel())
    estimates = {name: {"rank correlation": found} for name, found in correlations.items() if found is not None}
    return (
        Plot(
            title="Predicted and true barriers",
            svg=scatter_figure(
                {"paths": points},
                x=AxisStyle(label=nats["x"], scale=Scale.NEAR_LOG),
                y=AxisStyle(label=nats["y"], scale=Scale.NEAR_LOG),
                label="True barriers over predicted ones",
                prefix="scatter-",
            ),
            note="One point a path; a prediction that is not finite stands at 0.",
        ),
        Plot(
            title="Rank correlation with the true barrier",
            svg=interval_figure(
                estimates,
                reference=0,
                axis=AxisStyle(label="Spearman's rank correlation"),
                label="Rank correlation of each prediction with the true barrier, with intervals",
                prefix="spearman-",
            ),
            note="With 95 % intervals over images.",
        ),
    )


def _table(rivals: Mapping[str, Rival], correlations: Correlations) -> Table:
    rows = []
    for name, rival in rivals.items():
        found = correlations[name]
        right, chance = hits(rival)
        excess, random_excess = regret(rival)
        figures = (right.mean(), chance.mean(), excess.mean(), random_excess.mean())
        rows.append((name, None if found is None else found.value, *map(float, figures)))
    return Table(
        title="Ways to foretell the lowest barrier",
        columns=("prediction", "Spearman", "right", "by chance", "excess", "excess by chance"),
        rows=tuple(rows),
        note=(
            "Share of images whose path predicted lowest is truly the lowest; excess: how far its barrier lies above "
            "the lowest on the mean, in the potential's unit (nats for the controls)."
        ),
    )


def _data(
    foretold: Mapping[str, Foretold], chords: Grid, rivals: Mapping[str, Rival], correlations: Correlations
) -> dict[str, object]:
    return {
        "paths": {name: dataclasses.asdict(one) for name, one in foretold.items()},
        "lengths": chords,
        "spearman": {name: as_data(found) for name, found in correlations.items()},
        "right": {name: hits(one)[0] for name, one in rivals.items()},
        "right_by_chance": {name: hits(one)[1] for name, one in rivals.items()},
    }
