"""The tables of an explanation, and how its numbers and potentials are called."""

import math
from collections.abc import Sequence

from detector.evaluation.connection import Connection
from detector.evaluation.standings import LabelStanding
from detector.evaluation.tables import Table
from detector.search import PotentialKind

POTENTIAL_NAMES = {
    PotentialKind.CROSS_ENTROPY: "cross-entropy",
    PotentialKind.LOG_CROSS_ENTROPY: "log cross-entropy",
    PotentialKind.MARGIN: "margin, negated",
    PotentialKind.REPRESENTATION: "distance in representation",
}


def barrier_table(connection: Connection, searched: PotentialKind) -> Table:
    """The barrier of every potential on both paths."""
    before, found = connection.straight.barriers, connection.found
    after = {} if found is None else found.barriers
    rows = tuple(
        (
            POTENTIAL_NAMES[kind] + (" (searched)" if kind is searched and found is not None else ""),
            kind.unit,
            _cell(before[kind]),
            _cell(after.get(kind)),
        )
        for kind in PotentialKind
    )
    return Table(
        title="Barriers: rise above the higher end",
        columns=("potential", "unit", "straight path", "searched path"),
        rows=rows,
        note="",
    )


def standings_table(standings: Sequence[LabelStanding], labels: Sequence[str]) -> Table:
    """What speaks for each label, the predicted one first."""
    rows = tuple(
        (
            labels[one.label],
            _number(one.standing),
            _cell(one.probability),
            _number(one.takeover),
            _number(one.log_distance),
        )
        for one in standings
    )
    return Table(
        title="How the labels stand",
        columns=(
            "label",
            "strength of its claim",
            "probability at the image",
            "gain along the paths, nats",
            "log-distance",
        ),
        rows=rows,
        note="",
    )


def number_text(value: float | None) -> str:
    """Three significant digits; a dash for what is no number."""
    return "–" if _number(value) is None else f"{value:.3g}".replace("-", "−")


def _cell(value: float | None) -> str | None:
    """Significant digits where the values of a column differ by orders of magnitude."""
    return None if _number(value) is None else number_text(value)


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
