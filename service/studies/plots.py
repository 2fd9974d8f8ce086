"""Plots that several studies draw, in the page's colours."""

import dataclasses
import enum
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from numpy import ndarray

from detector.evaluation.metrics import Estimate
from detector.evaluation.svg import Ink, inline_svg, series_ink, styled

Values = Float[ndarray, " value"]
WIDTH, HEIGHT = 500 / 72, 310 / 72
NEAR_ZERO = 1e-3
"""Below this a symmetric logarithmic axis is linear; the barrier that a search counts as none."""


class Scale(enum.StrEnum):
    """How an axis runs."""

    LINEAR = "linear"
    LOG = "log"
    NEAR_LOG = "near-log"


@dataclasses.dataclass(frozen=True, kw_only=True)
class AxisStyle:
    """What an axis says and how it runs; NEAR_LOG is logarithmic with room for zero."""

    label: str
    scale: Scale = Scale.LINEAR


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """A curve; `lower` and `upper` bound its band, if it has one."""

    name: str
    x: Values
    y: Values
    lower: Values | None = None
    upper: Values | None = None


@styled
def box_figure(groups: Mapping[str, Values], *, axis: AxisStyle, label: str, prefix: str) -> str:
    """Median, quartiles and the 5th and 95th percentile of each group, one row each; the first is the reference.

    Args:
        label: what a screen reader says.
    """
    figure = Figure(figsize=(WIDTH, (70 + 32 * len(groups)) / 72), layout="constrained")
    axes = figure.subplots()
    _bare(axes)
    kept = {name: values[np.isfinite(values)] for name, values in groups.items()}
    for index, (row, values) in enumerate(zip(range(len(kept) - 1, -1, -1), kept.values(), strict=True)):
        if not len(values):
            continue
        ink = Ink.TEXT if index == 0 else Ink.ACCENT
        lowest, lower, median, upper, highest = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95])
        axes.plot([lowest, highest], [row, row], color=ink, linewidth=1)
        axes.fill_between([lower, upper], row - 0.28, row + 0.28, color=ink, alpha=0.25, linewidth=0)
        axes.plot([median, median], [row - 0.28, row + 0.28], color=ink, linewidth=2.4)
        if index == 0:
            axes.axvline(median, color=Ink.FAINT, linewidth=1, linestyle=":")
    axes.set_yticks(range(len(kept) - 1, -1, -1), [f"{name} ({len(values)})" for name, values in kept.items()])
    axes.set_ylim(-0.6, len(kept) - 0.4)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.grid(True)
    largest = max((float(values.max()) for values in kept.values() if len(values)), default=1.0)
    _run(axes, "x", axis, largest)
    return inline_svg(figure, label=label, prefix=prefix)


@styled
def line_figure(lines: Sequence[Line], *, x: AxisStyle, y: AxisStyle, label: str, prefix: str) -> str:
    """Curves over one axis, with their bands."""
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes = figure.subplots()
    _bare(axes)
    axes.yaxis.grid(True)
    for index, line in enumerate(lines):
        ink = series_ink(index)
        if line.lower is not None and line.upper is not None:
            lower, upper = (np.where(np.isfinite(bound), bound, np.nan) for bound in (line.lower, line.upper))
            axes.fill_between(line.x, lower, upper, color=ink, alpha=0.15, linewidth=0)
        marker = "osD^vPX*"[index % 8] if len(line.x) <= 12 else ""
        style = ("-", "--", "-.", ":")[index % 4]
        axes.plot(line.x, line.y, color=ink, linestyle=style, marker=marker, markersize=4, label=line.name)
    every = np.concatenate([np.zeros(1), *(values for line in lines for values in (line.y, *_bounds(line)))])
    _run(axes, "x", x, max((float(line.x.max()) for line in lines if len(line.x)), default=1.0))
    _run(axes, "y", y, float(every[np.isfinite(every)].max()))
    if len(lines) > 1:
        figure.legend(loc="outside upper left", frameon=False, ncols=3, handlelength=2.2)
    return inline_svg(figure, label=label, prefix=prefix)


@styled
def scatter_figure(
    groups: Mapping[str, tuple[Values, Values]], *, x: AxisStyle, y: AxisStyle, label: str, prefix: str
) -> str:
    """A point for each pair of values, one colour and one sign a group."""
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes = figure.subplots()
    _bare(axes)
    axes.grid(True)
    for index, (name, (across, up)) in enumerate(groups.items()):
        ink = series_ink(index)
        axes.scatter(across, up, s=14, color=ink, alpha=0.45, linewidths=0, marker="osD^vPX*"[index % 8], label=name)
    for way, style, position in (("x", x, 0), ("y", y, 1)):
        _run(axes, way, style, max((float(np.nanmax(pair[position])) for pair in groups.values()), default=1.0))
    if len(groups) > 1:
        figure.legend(loc="outside upper left", frameon=False, ncols=4)
    return inline_svg(figure, label=label, prefix=prefix)


@styled
def histogram_figure(groups: Mapping[str, Values], *, axis: AxisStyle, label: str, prefix: str) -> str:
    """How often values occur, groups over one another."""
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes = figure.subplots()
    _bare(axes)
    axes.yaxis.grid(True)
    kept = {name: values[np.isfinite(values)] for name, values in groups.items()}
    every = np.concatenate([*kept.values(), np.zeros(0)])
    edges = np.histogram_bin_edges(every, bins=24) if len(every) else np.linspace(0, 1, 25)
    for index, (name, values) in enumerate(kept.items()):
        counts = np.histogram(values, edges)[0]
        ink, style = series_ink(index), ("-", "--", "-.", ":")[index % 4]
        axes.stairs(counts, edges, fill=True, color=ink, alpha=0.2, linewidth=0)
        axes.stairs(counts, edges, color=ink, linestyle=style, label=name)
    axes.set(xlabel=axis.label, ylabel="count")
    if len(kept) > 1:
        figure.legend(loc="outside upper left", frameon=False, ncols=3)
    return inline_svg(figure, label=label, prefix=prefix)


@styled
def interval_figure(
    groups: Mapping[str, Mapping[str, Estimate]], *, reference: float, axis: AxisStyle, label: str, prefix: str
) -> str:
    """Figures with their intervals, one row a group and one sign a kind of figure, beside a line of reference."""
    figure = Figure(figsize=(WIDTH, (90 + 36 * len(groups)) / 72), layout="constrained")
    axes = figure.subplots()
    _bare(axes)
    axes.axvline(reference, color=Ink.WARNING, linewidth=1.2)
    kinds = list(dict.fromkeys(kind for figures in groups.values() for kind in figures))
    for index, kind in enumerate(kinds):
        rows = [len(groups) - 1 - row + 0.22 * ((len(kinds) - 1) / 2 - index) for row in range(len(groups))]
        found = [(row, group[kind]) for row, group in zip(rows, groups.values(), strict=True) if kind in group]
        ink = series_ink(index)
        for row, figure_ in found:
            if np.isfinite(figure_.lower):
                axes.plot([figure_.lower, figure_.upper], [row, row], color=ink, linewidth=1.4)
        axes.plot(
            [figure_.value for _, figure_ in found],
            [row for row, _ in found],
            color=ink,
            marker="osD^vPX*"[index % 8],
            markersize=5,
            linestyle="",
            label=kind,
        )
    axes.set_yticks(range(len(groups) - 1, -1, -1), list(groups))
    axes.tick_params(axis="y", length=0)
    axes.xaxis.grid(True)
    axes.set(xlabel=axis.label, ylim=(-0.6, len(groups) - 0.4))
    figure.legend(loc="outside upper left", frameon=False, ncols=3)
    return inline_svg(figure, label=label, prefix=prefix)


def quartiles(profiles: Float[ndarray, "path point"]) -> tuple[Values, Values, Values]:
    """Lower quartile, median and upper quartile at each point, over the paths that are finite."""
    finite = profiles[np.isfinite(profiles).all(1)]
    if not len(finite):
        finite = np.full((1, profiles.shape[1]), np.nan)
    lower, median, upper = np.quantile(finite, [0.25, 0.5, 0.75], axis=0)
    return lower, median, upper


def _bounds(line: Line) -> list[Values]:
    return [bound for bound in (line.lower, line.upper) if bound is not None]


def _bare(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _run(axes: Axes, way: str, style: AxisStyle, largest: float) -> None:
    """Label an axis and set its scale; powers of ten are written out, as the page's type has no superscripts."""
    axis = axes.xaxis if way == "x" else axes.yaxis
    axis.set_label_text(style.label)
    if style.scale is Scale.LINEAR:
        return
    scale = {"value": "log"} if style.scale is Scale.LOG else {"value": "symlog", "linthresh": NEAR_ZERO}
    set_scale = axes.set_xscale if way == "x" else axes.set_yscale
    set_scale(**scale)
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    if style.scale is Scale.NEAR_LOG:
        top = max(largest, NEAR_ZERO)
        axis.set_ticks([0, *(10.0**power for power in range(-3, int(np.ceil(np.log10(top))) + 1))])
        limits = (-NEAR_ZERO / 4, top * 2)
        axes.set_xlim(*limits) if way == "x" else axes.set_ylim(*limits)
