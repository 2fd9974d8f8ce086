"""Two drawings of an audit: the share that was flagged beside what clean images would give, and the p-values."""

import dataclasses
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from detector.evaluation.svg import Ink, inline_svg, styled
from detector.evaluation.tables import cell_text
from service.offline.summary.summary_types import Bin

Interval = tuple[float, float]
"""Lower and upper end, as shares from 0 to 1."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FlaggedShare:
    """How often images were flagged, and how often clean ones would be.

    Attributes:
        share, interval: of the images that could be judged, with its 95 % interval.
        nominal: the false-positive rate that was asked for.
        clean: what 95 % of audits of so many clean images would give; None where that cannot be said.
        is_outside: the share lies outside of it.
    """

    share: float
    interval: Interval
    nominal: float
    clean: Interval | None
    is_outside: bool


@styled
def share_figure(found: FlaggedShare, *, prefix: str) -> str:
    """The share with its interval over the range that clean images give, on one axis in per cent."""
    figure = Figure(figsize=(500 / 72, 132 / 72), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right", "left"]].set_visible(False)
    left, right = _axis_limits(found)
    if found.clean is not None:
        low, high = (100 * end for end in found.clean)
        axes.barh(0, high - low, left=low, height=0.5, color=Ink.ACCENT, alpha=0.25, linewidth=0)
        # A range of a million images is narrower than a line is wide.
        axes.vlines([low, high], -0.25, 0.25, color=Ink.ACCENT, linewidth=1)
    axes.axvline(100 * found.nominal, color=Ink.FAINT, linewidth=1, linestyle=":")
    ink = Ink.WARNING if found.is_outside else Ink.TEXT
    axes.hlines(1, 100 * found.interval[0], 100 * found.interval[1], color=ink, linewidth=2)
    axes.plot(100 * found.share, 1, color=ink, marker="o", markersize=6, clip_on=False)
    axes.set_yticks([1, 0], ["this audit", "clean images"])
    axes.tick_params(axis="y", length=0)
    axes.set(xlim=(left, right), ylim=(-0.6, 1.5), xlabel="share flagged, %")
    return inline_svg(figure, label=_share_label(found), prefix=prefix)


def _axis_limits(found: FlaggedShare) -> Interval:
    ends = [*found.interval, found.nominal, *(found.clean or ())]
    low, high = 100 * min(ends), 100 * max(ends)
    room = max(0.12 * (high - low), 0.2)
    # Zero belongs on the axis unless the figures are far from it and close to one another.
    left = 0.0 if low < 2 * (high - low) else max(0.0, low - room)
    right = min(100.0, high + room)
    # A mark at the very end stays clear of the names.
    return left - 0.02 * (right - left), right


def _share_label(found: FlaggedShare) -> str:
    text = f"{100 * found.share:.3g} % of the images flagged"
    if found.clean is None:
        return text
    low, high = (f"{100 * end:.3g}" for end in found.clean)
    return f"{text}; clean images would give {low} to {high} %"


@styled
def p_value_figure(bins: Sequence[Bin], *, false_positive_rate: float, prefix: str) -> str:
    """How many images have which p-value, and how many there would be if all were clean."""
    figure = Figure(figsize=(500 / 72, 210 / 72), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    edges, counts = [found.lower for found in bins] + [bins[-1].upper], [found.n for found in bins]
    for found in bins:
        # The rate may be a number that halves a bin; then the line tells.
        ink = Ink.WARNING if found.upper <= false_positive_rate * (1 + 1e-9) else Ink.ACCENT
        width = found.upper - found.lower
        axes.bar(found.lower + 0.04 * width, found.n, width=0.92 * width, align="edge", color=ink, alpha=0.55)
    expected = [found.expected for found in bins]
    axes.stairs(expected, edges, baseline=None, color=Ink.TEXT, linewidth=1.2, linestyle="--")
    axes.axvline(false_positive_rate, color=Ink.WARNING, linewidth=1)
    axes.yaxis.grid(True)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.yaxis.set_major_formatter(lambda value, _: cell_text(round(value), 0))
    axes.set(xlim=(0, 1), ylim=(0, 1.08 * max(1, *expected, *counts)), xlabel="p-value", ylabel="images")
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    label = f"Histogram of p-values: {counts[0]} images in the lowest bar, {expected[0]:.3g} if all were clean"
    return inline_svg(figure, label=label, prefix=prefix)
