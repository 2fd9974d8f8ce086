"""What the study of percolation says: sentences, plots and table."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from detector.evaluation.metrics import Estimate
from detector.evaluation.tables import Table, Value
from service.studies.claims import all_of, as_data, figure_text, is_above, is_below, share_estimate, share_text
from service.studies.percolation_measuring import Cell
from service.studies.percolation_statistics import (
    THRESHOLD,
    Paths,
    advantage,
    best_known,
    of_kind,
    rise,
    searched,
    shares,
    slope,
    spread,
    straight,
    widths_of,
)
from service.studies.plots import AxisStyle, Line, Scale, line_figure
from service.studies.random_networks import WeightScale
from service.studies.report import Finding, Plot

PAPER = "Vrabel et al., ICLR 2025, arXiv 2409.05800, as a conjecture"


def findings_of(cells: Sequence[Cell], seed: int) -> tuple[Finding, ...]:
    """Every claim, with the interval that decides it."""
    widths = widths_of(cells)
    wide, narrow = (of_kind(cells, WeightScale.ROUGH, width) for width in (widths[-1], widths[0]))
    growth, beyond = rise(wide[0], wide[-1], seed), advantage(wide, seed)
    location = slope(wide, lambda cell: np.array([np.median(one) for one in best_known(cell)]), seed)
    sharpness = slope(wide, lambda cell: np.array([spread(one) for one in best_known(cell)]), seed)
    gained = rise(narrow[-1], wide[-1], seed)
    return (
        Finding(
            claim=f"Connectivity in input space comes of high dimension, in untrained networks, too ({PAPER}).",
            measured=f"In rough networks of width {widths[-1]} a path among the lowest tenth of losses joins "
            f"{_by_dimension(wide, best_known)}. From the first to the last that is a rise by {_points(growth)}, at "
            "least: two pixels are exact, and elsewhere the search may miss paths.",
            agrees=is_above(growth, 0),
        ),
        Finding(
            claim=f"Its cause is geometric: more dimensions leave more ways around ({PAPER}).",
            measured=f"Straight paths, which use no more than one dimension, join {_by_dimension(wide, straight)}. "
            f"With every doubling of the pixels, other paths gain {_points(beyond)} over them.",
            agrees=is_above(beyond, 0),
        ),
        Finding(
            claim=f"As in percolation, pairs join at a threshold that falls and sharpens with dimension ({PAPER}).",
            measured=f"With every doubling, the median critical quantile moves by {figure_text(location)} and the "
            f"distance between its quartiles by {figure_text(sharpness)}. Agrees if both fall. Ends lie at a quantile "
            "of about .01 themselves, below which no threshold can be seen.",
            agrees=all_of([is_below(location, 0), is_below(sharpness, 0)]),
        ),
        Finding(
            claim=f"If dimension is the cause, it is that of the inputs as the network sees them ({PAPER}).",
            measured=f"At {wide[-1].dimension} pixels, networks of width {widths[0]}, whose first layer sees "
            f"{widths[0]} directions, have {share_text(_pooled(narrow[-1:], searched))} of their pairs joined; width "
            f"{widths[-1]} joins {_points(gained)} more.",
            agrees=is_above(gained, 0),
        ),
        _usual_finding([cell for cell in cells if cell.scale is WeightScale.USUAL]),
    )


def _usual_finding(usual: Sequence[Cell]) -> Finding:
    chords, paths = _pooled(usual, straight), _pooled(usual, searched)
    return Finding(
        claim="Untrained networks as they are usually initialised are connected "
        "(Vrabel et al., ICLR 2025, arXiv 2409.05800).",
        measured=f"With the weights of He et al. straight paths join {share_text(chords)} and "
        f"searched ones {share_text(paths)} of the pairs, over all dimensions: too smooth for a "
        "transition to show. Agrees if searched paths join nine in ten.",
        agrees=is_above(paths, 0.9),
    )


def _pooled(cells: Sequence[Cell], paths: Paths) -> Estimate | None:
    critical = np.concatenate([one for cell in cells for one in paths(cell)] or [np.zeros(0)])
    return share_estimate(int((critical <= THRESHOLD).sum()), len(critical))


def _by_dimension(cells: Sequence[Cell], paths: Paths) -> str:
    parts = [f"{shares(cell, paths).mean():.0%}".replace("%", " %") + f" at {cell.dimension}" for cell in cells]
    return f"{', '.join(parts)} pixels"


def _points(estimate: Estimate | None) -> str:
    scaled = (
        None if estimate is None else Estimate(*(100 * end for end in (estimate.value, estimate.lower, estimate.upper)))
    )
    return f"{figure_text(scaled)} percentage points"


def plots_of(cells: Sequence[Cell]) -> tuple[Plot, ...]:
    """Share against threshold, share against dimension, and the search against the exact answer in the plane."""
    wide = of_kind(cells, WeightScale.ROUGH, widths_of(cells)[-1])
    by_dimension = [_curve(f"{cell.dimension} pixels", best_known(cell)) for cell in wide]
    plots = [
        _threshold_plot(
            f"Share of pairs joined, rough networks of width {wide[0].width}",
            by_dimension,
            "dimension",
            "Two pixels are exact; elsewhere the search may miss paths.",
        ),
        _dimension_plot(cells),
    ]
    plane = wide[0]
    if plane.exact:
        parts = {"straight": plane.straight, "searched": plane.searched, "exact": plane.exact}
        curves = [_curve(name, critical) for name, critical in parts.items()]
        note = "Exact: a grid is flooded until both ends lie in one lake. The search can only miss paths."
        plots.append(_threshold_plot("The search against the exact answer in two dimensions", curves, "exact", note))
    return tuple(plots)


def _curve(name: str, critical: Sequence[Float[ndarray, " pair"]]) -> Line:
    thresholds = np.geomspace(0.01, 1, 60)
    pooled = np.concatenate(critical)
    return Line(name=name, x=thresholds, y=(pooled[None] <= thresholds[:, None]).mean(1))


def _threshold_plot(title: str, curves: list[Line], name: str, note: str) -> Plot:
    return Plot(
        title=title,
        svg=line_figure(
            curves,
            x=AxisStyle(label="threshold: share of random inputs with a lower loss", scale=Scale.LOG),
            y=AxisStyle(label="share of pairs"),
            label=f"{title}, against the threshold",
            prefix=f"percolation-{name}-",
        ),
        note=note,
    )


def _dimension_plot(cells: Sequence[Cell]) -> Plot:
    widths = widths_of(cells)
    kinds = {f"width {width}": (of_kind(cells, WeightScale.ROUGH, width), best_known) for width in widths}
    kinds[f"width {widths[-1]}, straight"] = (of_kind(cells, WeightScale.ROUGH, widths[-1]), straight)
    usual = [cell for cell in cells if cell.scale is WeightScale.USUAL and cell.searched]
    kinds["usual weights"] = (usual, searched)
    lines = []
    for name, (found, paths) in kinds.items():
        means = [shares(cell, paths) for cell in found]
        mean = np.array([one.mean() for one in means])
        error = np.array([one.std(ddof=1) / len(one) ** 0.5 if len(one) > 1 else 0.0 for one in means])
        at = np.log2([cell.dimension for cell in found])
        lines.append(Line(name=name, x=at, y=mean, lower=mean - error, upper=mean + error))
    return Plot(
        title="Share of pairs joined among the lowest tenth of losses",
        svg=line_figure(
            lines,
            x=AxisStyle(label="pixels, as a power of two"),
            y=AxisStyle(label="share of pairs"),
            label="Share of pairs joined at a fixed threshold, against the dimension",
            prefix="percolation-share-",
        ),
        note="Mean over networks and its standard error. Rough weights unless named; two pixels are exact.",
    )


def table_of(cells: Sequence[Cell]) -> Table:
    """Every kind of network at every dimension."""
    rows: list[tuple[Value, ...]] = []
    for cell in cells:
        pooled = [np.concatenate(paths) if paths else None for paths in (cell.straight, cell.searched, cell.exact)]
        joined = [None if one is None else float((one <= THRESHOLD).mean()) for one in pooled]
        middle = None if pooled[1] is None else float(np.median(pooled[1]))
        n_pairs = 0 if pooled[1] is None else len(pooled[1])
        rows.append((str(cell.scale), cell.width, cell.dimension, n_pairs, *joined, middle))
    return Table(
        title="Share of pairs joined among the lowest tenth of losses",
        columns=("weights", "width", "pixels", "pairs", "straight", "searched", "exact", "median critical quantile"),
        rows=tuple(rows),
        note=(
            "A pair's critical quantile is that of the highest loss on its best path. In few dimensions networks "
            "may have no pair of ends far enough apart."
        ),
    )


def percolation_data(cells: Sequence[Cell], seed: int) -> dict[str, object]:
    """Every number behind sentences and plots."""
    wide = of_kind(cells, WeightScale.ROUGH, widths_of(cells)[-1])
    return {
        "cells": [
            {
                "weights": str(cell.scale),
                "width": cell.width,
                "dimension": cell.dimension,
                "straight": cell.straight,
                "searched": cell.searched,
                "exact": cell.exact,
            }
            for cell in cells
        ],
        "rise_of_share": as_data(rise(wide[0], wide[-1], seed)),
        "slope_of_share": as_data(slope(wide, lambda cell: shares(cell, best_known), seed)),
        "slope_beyond_straight": as_data(advantage(wide, seed)),
    }
