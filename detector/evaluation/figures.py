"""Plots as SVG fragments that sit inside a page: no ids that collide, colours from the page's style sheet."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

from detector.evaluation.svg import N_SERIES, Ink, inline_svg, series_ink, styled

Curve = Float[ndarray, " point"]

LOWEST_RATE = 1e-3
"""Left end of the false-positive axis."""

MOST_POINTS = 300
"""Points that one curve of true over false positives is drawn with."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProfileBand:
    """Quartiles of one potential along the paths of many images, each of shape (point,)."""

    name: str
    mixing: Curve
    lower: Curve
    median: Curve
    upper: Curve


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreGroup:
    """Scores of one group of images, shape (image,); one that is not finite belongs to an undecided image."""

    name: str
    scores: Float[ndarray, " image"]


RocCurves = Mapping[str, tuple[Float[ndarray, " _"], Float[ndarray, " _"]]]
"""By name: false-positive rates, ascending, and the true-positive rate at each."""


@styled
def profile_figure(values: Curve, *, limits: tuple[float, float], label: str, prefix: str) -> str:
    """One potential along one path; point i stands at `(i + 0.5) / n` of the width, to line up with a strip.

    The drawing stretches to any width: it has no text, and its strokes do not scale.
    """
    n_points = len(values)
    figure = Figure(figsize=(10, 1))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    low, high = limits
    margin = 0.14 * (high - low)
    axes.set(xlim=(-0.5, n_points - 0.5), ylim=(low - margin, high + margin))
    for position in range(n_points):
        axes.axvline(position, color=Ink.RULE, linewidth=1, clip_on=False)
    if low < 0 < high:
        axes.axhline(0, color=Ink.FAINT, linewidth=1, clip_on=False)
    axes.plot(range(n_points), values, color=Ink.ACCENT, linewidth=1.5, clip_on=False)
    for position, value in enumerate(values):
        # A line of no length with round ends stays a round dot however the drawing is stretched.
        axes.plot([position] * 2, [value] * 2, color=Ink.ACCENT, linewidth=5, solid_capstyle="round", clip_on=False)
    return inline_svg(figure, label=label, prefix=prefix, is_stretched=True)


@styled
def band_figure(band: ProfileBand, reference: ProfileBand, *, limits: tuple[float, float], prefix: str) -> str:
    """Median and quartiles of one group over those of the reference group."""
    figure = Figure(figsize=(248 / 72, 156 / 72), layout="constrained")
    axes = figure.subplots()
    _bare(axes)
    _draw_band(axes, reference, Ink.FAINT, "--")
    if band is not reference:
        _draw_band(axes, band, Ink.ACCENT, "-")
    axes.set(xlim=(0, 1), ylim=limits, xticks=[0, 0.25, 0.5, 0.75, 1])
    axes.set_xticklabels(["0", "", "0.5", "", "1"])
    axes.yaxis.grid(True)
    label = f"{band.name}: median from {band.median[0]:.3g} at the image to {band.median[-1]:.3g} at the prototype"
    return inline_svg(figure, label=label, prefix=prefix)


def band_limits(bands: Sequence[ProfileBand]) -> tuple[float, float]:
    """One vertical range for all bands."""
    low, high = finite_range(np.concatenate([values for band in bands for values in (band.lower, band.upper)]))
    return low - 0.04 * (high - low), high + 0.04 * (high - low)


def _draw_band(axes: Axes, band: ProfileBand, ink: str, line_style: str) -> None:
    axes.fill_between(band.mixing, band.lower, band.upper, color=ink, alpha=0.2, linewidth=0)
    axes.plot(band.mixing, band.median, color=ink, linestyle=line_style)


@styled
def score_figure(
    groups: Sequence[ScoreGroup],
    *,
    limits: tuple[float, float],
    threshold: float | None,
    false_positive_rate: float,
    prefix: str,
) -> str:
    """Histograms of the scores, one row a group, each to its own height; at the right the share at or above.

    Args:
        groups: the first is set off from the others.
        limits: range of the axis of scores, e.g. that of `score_limits`.
    """
    figure = Figure(figsize=(500 / 72, (58 + 34 * len(groups)) / 72), layout="constrained")
    axes = figure.subplots()
    _bare(axes)
    axes.spines["left"].set_visible(False)
    low, high = limits
    n_bins = int(np.clip(2 * max(len(group.scores) for group in groups) ** 0.5, 12, 48))
    edges = np.linspace(low, high, n_bins + 1)
    rows = range(len(groups) - 1, -1, -1)
    for index, (row, group) in enumerate(zip(rows, groups, strict=True)):
        counts = np.histogram(group.scores[np.isfinite(group.scores)], edges)[0]
        heights = row + 0.82 * counts / max(1, counts.max())
        ink = Ink.TEXT if index == 0 else Ink.ACCENT
        axes.stairs(heights, edges, baseline=row, fill=True, color=ink, alpha=0.25, linewidth=0)
        axes.stairs(heights, edges, baseline=None, color=ink, linewidth=1)
        if threshold is not None:
            share = 100 * flagged_share(group.scores, threshold)
            text = f"{share:.1f} %" if share < 10 else f"{share:.0f} %"
            axes.text(1.02, row + 0.1, text, transform=axes.get_yaxis_transform(), va="bottom")
    axes.set(xlim=(low, high), ylim=(-0.06, len(groups) + 0.1), xlabel="score, log-odds; higher is more adversarial")
    axes.set_yticks([row + 0.25 for row in rows], [group.name for group in groups])
    axes.tick_params(axis="y", length=0)
    if threshold is not None:
        axes.axvline(threshold, color=Ink.WARNING, linewidth=1.2)
        axes.set_title(f"threshold for {100 * false_positive_rate:g} % false positives, share above it →", loc="right")
    label = "Histograms of the scores of " + ", ".join(group.name for group in groups)
    return inline_svg(figure, label=label, prefix=prefix)


def score_limits(groups: Sequence[ScoreGroup]) -> tuple[float, float]:
    """One range of scores for all groups."""
    return finite_range(np.concatenate([group.scores for group in groups]))


def flagged_share(scores: Float[ndarray, " image"], threshold: float) -> float:
    """Share of images at or above the threshold; an undecided image counts, as callers treat it as adversarial."""
    return float(((scores >= threshold) | np.isnan(scores)).mean()) if len(scores) else 0.0


@styled
def roc_figure(curves: RocCurves, *, prefix: str) -> str:
    """True-positive rate over false-positive rate, whose axis is logarithmic from 0.001 to 1.

    The first `N_SERIES` curves have a colour and a name each; the others are drawn faintly behind them.
    """
    figure = Figure(figsize=(500 / 72, 340 / 72), layout="constrained")
    axes = figure.subplots()
    _bare(axes)
    axes.grid(True)
    axes.set_xscale("log")
    chance = np.geomspace(LOWEST_RATE, 1, 50)
    axes.plot(chance, chance, color=Ink.FAINT, linewidth=1, linestyle=":", label="chance")
    for index, (name, curve) in enumerate(curves.items()):
        rates, hits = _visible(*curve)
        line_style = "-" if index < N_SERIES // 2 else "--"
        if index < N_SERIES:
            axes.plot(rates, hits, color=series_ink(index), linestyle=line_style, drawstyle="steps-post", label=name)
        else:
            name_of_all = f"{len(curves) - N_SERIES} others" if index == N_SERIES else None
            (line,) = axes.plot(rates, hits, drawstyle="steps-post", label=name_of_all)
            line.set(color=Ink.FAINT, linewidth=0.8, alpha=0.6, zorder=1.5)
    axes.set(xlim=(LOWEST_RATE, 1), ylim=(0, 1.01), xlabel="false-positive rate", ylabel="true-positive rate")
    axes.set_xticks([0.001, 0.01, 0.05, 0.1, 1], ["0.001", "0.01", "0.05", "0.1", "1"])
    axes.set_xticks([], minor=True)
    figure.legend(loc="outside right upper", frameon=False, handlelength=1.6)
    label = "Receiver operating characteristic of " + ", ".join(curves)
    return inline_svg(figure, label=label, prefix=prefix)


def _visible(
    false_positive_rates: Float[ndarray, " rate"], true_positive_rates: Float[ndarray, " rate"]
) -> tuple[Float[ndarray, " _"], Float[ndarray, " _"]]:
    """The part of a curve that a logarithmic axis can show, entering at its left end at the height reached there."""
    is_left = false_positive_rates <= LOWEST_RATE
    entry = true_positive_rates[is_left].max(initial=0.0)
    rates = np.concatenate([[LOWEST_RATE], false_positive_rates[~is_left]])
    hits = np.concatenate([[entry], true_positive_rates[~is_left]])
    if len(rates) <= MOST_POINTS:
        return rates, hits
    # Thousands of points of each of thirty curves would make a page heavy and show nothing more.
    kept = np.unique(np.searchsorted(rates, np.geomspace(LOWEST_RATE, rates[-1], MOST_POINTS), side="right") - 1)
    return rates[kept], hits[kept]


def _bare(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def finite_range(values: Float[ndarray, " value"]) -> tuple[float, float]:
    """Least and greatest finite value, never the same, so that an axis can be drawn."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)
