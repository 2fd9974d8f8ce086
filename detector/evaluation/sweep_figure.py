"""How detection changes with the strength of one method of attack: a small plot a method."""

import dataclasses

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from numpy import ndarray

from detector.evaluation.svg import Ink, inline_svg, styled

LOGARITHMIC_FROM = 8
"""Ratio of the largest strength to the smallest from which the axis is logarithmic."""

Column = Float[ndarray, " strength"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepPanel:
    """One method at several strengths; a figure that does not exist, as where no attack succeeded, is NaN.

    Attributes:
        method: heading of the panel.
        unit: of the strengths, e.g. "ε / 255".
        strengths: ascending.
        auroc, auroc_lower, auroc_upper: with its 95 % interval.
        flagged: share flagged at the page's false-positive rate.
        success: share of the images tried that the attack succeeded on.
    """

    method: str
    unit: str
    strengths: Column
    auroc: Column
    auroc_lower: Column
    auroc_upper: Column
    flagged: Column
    success: Column


@styled
def sweep_figure(panel: SweepPanel, *, prefix: str) -> str:
    """AUROC with its interval (solid), share flagged (dashed) and success rate (faint) over the strength."""
    figure = Figure(figsize=(248 / 72, 176 / 72), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.yaxis.grid(True)
    strengths = panel.strengths
    axes.plot(strengths, panel.success, color=Ink.FAINT, linewidth=1, linestyle=":", marker=".", markersize=4)
    axes.fill_between(strengths, panel.auroc_lower, panel.auroc_upper, color=Ink.ACCENT, alpha=0.18, linewidth=0)
    axes.plot(strengths, panel.flagged, color=Ink.WARNING, linestyle="--", marker="s", markersize=3.5)
    axes.plot(strengths, panel.auroc, color=Ink.ACCENT, marker="o", markersize=4)
    if strengths[0] > 0 and strengths[-1] / strengths[0] >= LOGARITHMIC_FROM:
        axes.set_xscale("log")
    axes.set_xticks(strengths, [f"{strength:g}" for strength in strengths])
    axes.set_xticks([], minor=True)
    axes.set(ylim=(-0.02, 1.03), yticks=[0, 0.25, 0.5, 0.75, 1], xlabel=panel.unit or "strength")
    axes.set_yticklabels(["0", "", "0.5", "", "1"])
    return inline_svg(figure, label=_label(panel), prefix=prefix)


def _label(panel: SweepPanel) -> str:
    """The figures in words, for who cannot see the drawing."""
    points = [
        f"at {strength:g}: AUROC {_text(auroc)}, flagged {_text(flagged)}, success rate {_text(success)}"
        for strength, auroc, flagged, success in zip(
            panel.strengths, panel.auroc, panel.flagged, panel.success, strict=True
        )
    ]
    return f"{panel.method} over {panel.unit or 'strength'}; " + "; ".join(points)


def _text(value: float) -> str:
    return "none" if np.isnan(value) else f"{value:.3f}"
