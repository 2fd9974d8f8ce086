"""Which attacks of an experiment are one method at several strengths."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from detector.evaluation.attacked import AttackedImages
from detector.evaluation.attacks import AttackSpec
from detector.evaluation.result_tables import LENIENT
from detector.evaluation.results import DetectorFigures
from detector.evaluation.sweep_figure import SweepPanel


def sweep_panels(
    specs: Sequence[AttackSpec], attacked: Mapping[str, AttackedImages], figures: DetectorFigures
) -> tuple[SweepPanel, ...]:
    """A panel for each method, in one unit, that was run at two strengths or more and succeeded at one of them."""
    methods: dict[tuple[str, str], list[tuple[float, str]]] = {}
    for spec in specs:
        if spec.strength is not None and spec.name in attacked:
            methods.setdefault((spec.method, spec.strength_unit), []).append((spec.strength, spec.name))
    return tuple(
        _panel(method, unit, sorted(found), attacked, figures)
        for (method, unit), found in methods.items()
        if len({strength for strength, _ in found}) >= 2 and any(name in figures.attacks for _, name in found)
    )


def _panel(
    method: str,
    unit: str,
    found: Sequence[tuple[float, str]],
    attacked: Mapping[str, AttackedImages],
    figures: DetectorFigures,
) -> SweepPanel:
    rows = [figures.attacks.get(name) for _, name in found]
    return SweepPanel(
        method=method,
        unit=unit,
        strengths=_column([strength for strength, _ in found]),
        auroc=_column([row.auroc.value if row else math.nan for row in rows]),
        auroc_lower=_column([row.auroc.lower if row else math.nan for row in rows]),
        auroc_upper=_column([row.auroc.upper if row else math.nan for row in rows]),
        flagged=_column([row.tpr[LENIENT].value if row else math.nan for row in rows]),
        success=_column([attacked[name].success_rate for _, name in found]),
    )


def _column(values: Sequence[float]) -> Float[ndarray, " strength"]:
    return np.array(values, dtype=np.float64)
