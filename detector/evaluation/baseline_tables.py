"""The detector beside its baselines, as tables."""

from collections.abc import Mapping

from detector.evaluation.baselines import BaselineFigures
from detector.evaluation.result_tables import LENIENT, realised
from detector.evaluation.results import DetectorFigures
from detector.evaluation.tables import Table, highest


def baseline_table(figures: DetectorFigures, baselines: Mapping[str, BaselineFigures]) -> Table:
    """One row a baseline beneath the detector: cost and summary over all attacks."""
    rows = [
        (
            name,
            found.forward_equivalents,
            found.mean_auroc,
            found.worst_auroc,
            found.mean_tpr(LENIENT),
            clean.realised.value if (clean := realised(found.clean)) else None,
            baselines[name].title if name in baselines else None,
        )
        for name, found in _judges(figures, baselines)
    ]
    return Table(
        title=f"{figures.name} beside baselines",
        columns=(
            "detector",
            "passes",
            "mean AUROC",
            "worst AUROC",
            "mean flagged at 5 %",
            "clean flagged at 5 %",
            "what it is",
        ),
        rows=tuple(rows),
        note="Same images, same splits and same calibration; what a baseline learns, it learns from the images that "
        "the bundle learned from.",
        bold=frozenset((row, column) for column in (2, 3, 4) for row in highest([cells[column] for cells in rows])),
    )


def baseline_attack_table(figures: DetectorFigures, baselines: Mapping[str, BaselineFigures]) -> Table:
    """One row an attack, one column a detector: AUROC, the highest set off."""
    judges = _judges(figures, baselines)
    rows = [
        (attack, *(found.attacks[attack].auroc.value if attack in found.attacks else None for _, found in judges))
        for attack in figures.attacks
    ]
    return Table(
        title="AUROC of each",
        columns=("attack", *(name for name, _ in judges)),
        rows=tuple(rows),
        note="In bold the highest of each row.",
        bold=frozenset((row, 1 + column) for row, cells in enumerate(rows) for column in highest(cells[1:])),
    )


def _judges(
    figures: DetectorFigures, baselines: Mapping[str, BaselineFigures]
) -> list[tuple[str, DetectorFigures | BaselineFigures]]:
    return [(figures.name, figures), *baselines.items()]
