"""Tables in which runs stand side by side; the best figure is set off."""

from collections.abc import Callable, Mapping, Sequence

from detector.evaluation.tables import Table, Value, highest, lowest
from service.run_results import AttackResult, DetectorResult

_RATE = "0.05"

Contenders = Mapping[str, DetectorResult]


def shared_attacks(contenders: Contenders) -> list[str]:
    """The attacks that count in the summary of every contender."""
    first, *others = contenders.values()
    return [
        name
        for name, attack in first.attacks.items()
        if attack.in_summary and all(name in one.attacks and one.attacks[name].in_summary for one in others)
    ]


def summary_comparison(contenders: Contenders, *, note: str) -> Table:
    """One row a contender: what its figures come to, over all its attacks and over those that all have."""
    shared = shared_attacks(contenders)
    rows = [_summary_row(name, found, shared) for name, found in contenders.items()]
    explanation = (
        "“Shared” figures are over the attacks that count for every run. In the worst case each source image counts by "
        "the attack on it that scores lowest. In bold the best of each column. Speed depends on the machine."
    )
    return Table(
        title="What the figures come to",
        columns=(
            "run",
            "mean AUROC",
            "worst AUROC",
            "shared: mean AUROC",
            "shared: worst AUROC",
            "mean flagged at 5 %",
            "worst-case AUROC",
            "worst case flagged at 5 %",
            "clean flagged at 5 %",
            "passes",
            "images/s",
        ),
        rows=tuple(rows),
        note=f"{note} {explanation}".strip(),
        bold=_best_in_columns(rows, range(1, 8), highest) | _best_in_columns(rows, (9,), lowest),
    )


def _summary_row(name: str, found: DetectorResult, shared: Sequence[str]) -> tuple[Value, ...]:
    case = found.summary.worst_case
    aurocs = [value for attack in shared if (value := found.attacks[attack].auroc) is not None]
    return (
        name,
        found.summary.mean_auroc,
        found.summary.worst_auroc,
        sum(aurocs) / len(aurocs) if aurocs else None,
        min(aurocs, default=None),
        found.summary.mean_tpr.get(_RATE),
        case.auroc if case else None,
        case.tpr.get(_RATE) if case else None,
        found.clean.flagged.get(_RATE),
        found.cost.forward_equivalents,
        found.cost.images_per_second,
    )


def auroc_comparison(contenders: Contenders) -> Table:
    """One row an attack, one column a contender: AUROC."""
    return _side_by_side("AUROC", contenders, _attack_rows(contenders, lambda attack: attack.auroc))


def flagged_comparison(contenders: Contenders) -> Table:
    """One row an attack, one column a contender: share flagged at 5 % false positives."""
    rows = _attack_rows(contenders, lambda attack: attack.tpr.get(_RATE))
    return _side_by_side("Flagged at 5 % false positives", contenders, rows)


def _attack_rows(contenders: Contenders, figure: Callable[[AttackResult], Value]) -> list[tuple[Value, ...]]:
    return [
        (name, *(figure(one.attacks[name]) if name in one.attacks else None for one in contenders.values()))
        for name in _names([one.attacks for one in contenders.values()])
    ]


def _side_by_side(title: str, contenders: Contenders, rows: Sequence[tuple[Value, ...]]) -> Table:
    rare = _names(
        [{name: attack for name, attack in one.attacks.items() if not attack.in_summary} for one in contenders.values()]
    )
    note = "In bold the highest of each row."
    return Table(
        title=title,
        columns=("attack", *contenders),
        rows=tuple(rows),
        note=f"{note} Too few successes to count in every run: {', '.join(rare)}." if rare else note,
        bold=_best_in_rows(rows, highest),
    )


def adaptive_comparison(contenders: Contenders) -> Table:
    """One row an attack that knows the detector, one column a contender: targets reached and not flagged."""
    rows = [
        (name, *(one.adaptive[name].evaded.get(_RATE) if name in one.adaptive else None for one in contenders.values()))
        for name in _names([one.adaptive for one in contenders.values()])
    ]
    return Table(
        title="SR@5 of attacks that know the detector",
        columns=("attack", *contenders),
        rows=tuple(rows),
        note="Share of targets reached and not flagged at 5 % false positives. In bold the lowest of each row.",
        bold=_best_in_rows(rows, lowest),
    )


def _best_in_rows(
    rows: Sequence[tuple[Value, ...]], best: Callable[[Sequence[Value]], set[int]]
) -> frozenset[tuple[int, int]]:
    return frozenset((number, 1 + column) for number, row in enumerate(rows) for column in best(row[1:]))


def _best_in_columns(
    rows: Sequence[tuple[Value, ...]], columns: Sequence[int], best: Callable[[Sequence[Value]], set[int]]
) -> frozenset[tuple[int, int]]:
    return frozenset((row, column) for column in columns for row in best([cells[column] for cells in rows]))


def _names(mappings: Sequence[Mapping[str, object]]) -> list[str]:
    """Every name once, in the order of their first appearance."""
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))
