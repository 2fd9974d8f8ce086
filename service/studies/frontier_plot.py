"""Contenders by cost and quality, with the Pareto front."""

from collections.abc import Sequence
from typing import Literal

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from detector.evaluation.frontier.contenders import STRAIGHT, Contender, Judge
from detector.evaluation.svg import Ink, inline_svg, series_ink, styled

SIGNS = {Judge.BARRIER: "o", Judge.HIGHEST: "^", Judge.HEAD: "D"}


@styled
def frontier_figure(
    contenders: Sequence[Contender],
    front: Sequence[Contender],
    *,
    measure: Literal["AUROC", "flagged"],
    prefix: str,
) -> str:
    """One sign for each contender: its shape says who judges, its colour whether paths are searched.

    Args:
        measure: what stands on the vertical axis, as a mean over the attacks.
    """
    figure = Figure(figsize=(640 / 72, 380 / 72), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True)
    for index, is_searched in enumerate((False, True)):
        for judge, sign in SIGNS.items():
            group = [one for one in contenders if one.judge is judge and (one.method != STRAIGHT) == is_searched]
            if group:
                axes.plot(
                    [one.forward_equivalents for one in group],
                    [_value(one, measure) for one in group],
                    sign,
                    color=series_ink(index),
                    markersize=6 if judge is Judge.HEAD else 4,
                    alpha=0.8,
                    label=f"{judge}, {'searched' if is_searched else 'straight'}",
                )
    axes.plot(
        [one.forward_equivalents for one in front],
        [_value(one, measure) for one in front],
        color=Ink.TEXT,
        linewidth=1,
        drawstyle="steps-post",
    )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator([1, 3, 10, 30, 100, 300]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("forward equivalents an image")
    axes.set_ylabel("mean AUROC" if measure == "AUROC" else "mean share flagged")
    figure.legend(loc="outside upper left", frameon=False, ncols=3)
    best = max(contenders, key=lambda one: _value(one, measure))
    label = f"{measure} against cost; best {_value(best, measure):.3f} at {best.forward_equivalents:.0f} passes"
    return inline_svg(figure, label=label, prefix=prefix)


def _value(one: Contender, measure: Literal["AUROC", "flagged"]) -> float:
    return one.standing.mean_auroc if measure == "AUROC" else one.standing.mean_flagged
