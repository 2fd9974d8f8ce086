"""What an evaluation comes to, in a few figures: the block at the top of its page."""

import math

from detector.evaluation.page import SummaryFigure
from detector.evaluation.result_tables import LENIENT, interval_text, realised
from detector.evaluation.results import DetectorFigures


def summary_figures(figures: DetectorFigures) -> tuple[SummaryFigure, ...]:
    """Detection over all attacks, false alarms, and what they cost."""
    return (*_detection(figures), *_false_alarms(figures), _cost(figures))


def _detection(figures: DetectorFigures) -> tuple[SummaryFigure, ...]:
    counted = figures.counted
    over = f"over {len(counted)} attack{'' if len(counted) == 1 else 's'}"
    worst = min(counted, key=lambda name: counted[name].auroc.value, default="no attack succeeded often enough")
    found = [
        SummaryFigure(name="mean AUROC", value=_figure(figures.mean_auroc), detail=over),
        SummaryFigure(name="worst AUROC", value=_figure(figures.worst_auroc), detail=worst),
        SummaryFigure(name="mean flagged at 5 %", value=_percent(figures.mean_tpr(LENIENT)), detail=over),
    ]
    case = figures.worst_case
    if case is not None:
        images = f"{case.n} source image{'' if case.n == 1 else 's'}"
        share = case.tpr[LENIENT]
        found += [
            SummaryFigure(
                name="worst case: AUROC",
                value=_figure(case.auroc.value),
                detail=f"{interval_text(case.auroc)}; {images}",
            ),
            SummaryFigure(
                name="worst case: flagged at 5 %",
                value=_percent(share.value),
                detail=f"{_percent(share.lower)} to {_percent(share.upper)}; {images}",
            ),
        ]
    return tuple(found)


def _false_alarms(figures: DetectorFigures) -> tuple[SummaryFigure, ...]:
    found = realised(figures.clean)
    if found is None:
        return ()
    interval = f"{_percent(found.realised.lower)} to {_percent(found.realised.upper)}"
    return (
        SummaryFigure(
            name="false positives at 5 %",
            value=_percent(found.realised.value),
            detail=f"{interval}; {found.n} clean images",
        ),
    )


def _cost(figures: DetectorFigures) -> SummaryFigure:
    return SummaryFigure(
        name="cost",
        value=f"{figures.forward_equivalents:.3g} passes",
        detail=f"an image; {figures.images_per_second:.3g} images a second where this was run",
    )


def _figure(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "–"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if math.isfinite(share) else "–"
