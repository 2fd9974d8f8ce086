"""The two plots of an explanation: one potential along two paths, and the barrier by depth."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy import ndarray

from detector.evaluation.figures import finite_range
from detector.evaluation.svg import Ink, inline_svg, styled

Curve = Float[ndarray, " point"]


@styled
def comparison_figure(straight: Curve, found: Curve | None, *, label: str, prefix: str) -> str:
    """One potential along the straight path, dashed, and along the found one, over the share of each path's length."""
    figure = Figure(figsize=(248 / 72, 156 / 72), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    _draw(axes, straight, Ink.FAINT, "--")
    if found is not None:
        _draw(axes, found, Ink.ACCENT, "-")
    low, high = finite_range(straight if found is None else np.concatenate([straight, found]))
    room = 0.06 * (high - low)
    axes.set(xlim=(0, 1), ylim=(low - room, high + room), xticks=[0, 0.25, 0.5, 0.75, 1])
    axes.set_xticklabels(["0", "", "0.5", "", "1"])
    axes.yaxis.grid(True)
    return inline_svg(figure, label=label, prefix=prefix)


def _draw(axes: Axes, profile: Curve, ink: str, line_style: str) -> None:
    places = np.linspace(0, 1, len(profile))
    axes.plot(places, profile, color=ink, linestyle=line_style)
    if np.isfinite(profile).any():
        highest = int(np.nanargmax(np.where(np.isfinite(profile), profile, np.nan)))
        axes.plot(places[highest], profile[highest], color=ink, marker="o", markersize=4, clip_on=False)


@styled
def depth_figure(stages: Sequence[str], barriers: Sequence[float], *, unit: str, prefix: str) -> str:
    """One bar a stage, the input on top, each with its figure; a stage without a value has a dash."""
    figure = Figure(figsize=(500 / 72, (50 + 22 * len(stages)) / 72), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right", "left"]].set_visible(False)
    heights = np.array([height if np.isfinite(height) else 0.0 for height in barriers])
    rows = np.arange(len(stages))
    axes.barh(rows, heights, height=0.62, color=Ink.ACCENT)
    for row, height in zip(rows, barriers, strict=True):
        text = f"{height:.2g}" if np.isfinite(height) else "–"
        axes.annotate(text, (heights[row], row), (5, 0), textcoords="offset points", va="center")
    axes.set_yticks(rows, list(stages))
    axes.tick_params(axis="y", length=0)
    axes.set(ylim=(len(stages) - 0.4, -0.6), xlim=(0, 1.12 * max(heights.max(), 1e-3)), xlabel=unit)
    return inline_svg(figure, label="Barrier on mixing at " + ", ".join(stages), prefix=prefix)
