"""The tables of a report: by folder and label, what could not be read, what occurs more than once."""

from collections.abc import Sequence

from detector.evaluation.tables import Table, Value
from service.offline.report.words import joined, number, shown_name
from service.offline.summary.parts import Agreement, DuplicateGroup, Duplicates, Group, Groups, UnreadableReason

MOST_EXAMPLES = 3

SHARE_COLUMNS = ("flagged", "flagged, %", "lowest, %", "highest, %", "excess")

GIVEN_NOTE = (
    "Predicted so: by the classifier; a dash where it knows no label of that name. What it gets wrong is flagged more "
    "often, attack or not."
)

HARD_NOTE = "What is hard for the classifier stands out without an attack, too."

EXCESS_NOTE = (
    "Intervals hold 95 % and take images for independent, which near-copies are not. Excess: how likely clean images "
    "alone were to be flagged as often, corrected for the number of rows; 0.000 is less than 0.0005. Bold: no more "
    f"than the false-discovery rate. {HARD_NOTE}"
)


def folder_table(groups: Groups, false_discovery_rate: float) -> Table:
    """Folders, those that clean images are least likely to give first."""
    columns = ("folder", "images", "unreadable", *SHARE_COLUMNS)
    rows = [(_row_name(group), group.n_images, group.n_unreadable, *_share(group)) for group in groups.top]
    return _group_table("Flagged images by folder", columns, rows, EXCESS_NOTE, groups, false_discovery_rate)


def label_table(groups: Groups, false_discovery_rate: float) -> Table:
    """What the classifier names."""
    rows = [(_row_name(group), group.n_images, *_share(group)) for group in groups.top]
    title = "Flagged images by the label that the classifier names"
    return _group_table(title, ("label", "images", *SHARE_COLUMNS), rows, HARD_NOTE, groups, false_discovery_rate)


def given_label_table(groups: Groups, false_discovery_rate: float) -> Table:
    """What the source says that the images show."""
    columns = ("given label", "images", "predicted so", *SHARE_COLUMNS)
    rows = [(_row_name(group), group.n_images, group.n_agreeing, *_share(group)) for group in groups.top]
    return _group_table(
        "Flagged images by the label that was given", columns, rows, GIVEN_NOTE, groups, false_discovery_rate
    )


def _group_table(
    title: str,
    columns: tuple[str, ...],
    rows: Sequence[tuple[Value, ...]],
    note: str,
    groups: Groups,
    false_discovery_rate: float,
) -> Table:
    if groups.n > len(groups.top):
        title += f", {number(len(groups.top))} of {number(groups.n)}"
    salient = {
        (row, len(columns) - 1)
        for row, group in enumerate(groups.top)
        if group.excess_q_value is not None and group.excess_q_value <= false_discovery_rate
    }
    return Table(title=title, columns=columns, rows=tuple(rows), note=note, bold=frozenset(salient))


def _row_name(group: Group) -> str:
    return "(the source itself)" if group.name == "." else shown_name(group.name)


def _share(group: Group) -> tuple[Value, ...]:
    share = group.flagged
    percentages = [None if value is None else 100 * value for value in (share.value, share.lower, share.upper)]
    return (share.n, *percentages, group.excess_q_value)


def confusion_table(agreement: Agreement) -> Table:
    """Where the classifier names another label than was given."""
    return Table(
        title="Given one label, predicted as another",
        columns=("given", "predicted", "images", "of them flagged"),
        rows=tuple(
            (shown_name(pair.given_label), shown_name(pair.label_name), pair.n, pair.n_flagged)
            for pair in agreement.confusions
        ),
        note="The commonest pairs.",
    )


def unreadable_table(reasons: tuple[UnreadableReason, ...]) -> Table:
    """Why files could not be read."""
    return Table(
        title="Why",
        columns=("reason", "files", "for example"),
        rows=tuple((shown_name(reason.error, 300), reason.n, _first(reason.examples)) for reason in reasons),
        note="Numbers in a reason are those of its first example.",
    )


def conflict_table(found: Duplicates) -> Table:
    """The same pixels with different given labels."""
    return Table(
        title="The same pixels, different labels",
        columns=("given labels", "images", "decision", "paths", "digest"),
        rows=tuple(
            (joined([shown_name(label) for label in group.given_labels]), group.n, *_copies(group))
            for group in found.conflicting
        ),
        note="At most one of the labels of a row is right.",
    )


def duplicate_table(found: Duplicates) -> Table:
    """The same pixels more than once."""
    return Table(
        title="The same pixels, no two labels" if found.n_conflicting else "The same pixels",
        columns=("paths", "images", "decision", "digest"),
        rows=tuple(
            (paths, group.n, decision, digest)
            for group in found.groups
            if len(group.given_labels) < 2
            for decision, paths, digest in [_copies(group)]
        ),
        note="Copies were judged once each, and count once where a share is compared with chance.",
    )


def _copies(group: DuplicateGroup) -> tuple[str, str, str]:
    """Decision, paths and digest."""
    n_more = group.n - len(group.paths[:MOST_EXAMPLES])
    paths = _first(group.paths) + (f" and {number(n_more)} more" if n_more else "")
    return joined(group.decisions), paths, group.digest


def _first(paths: Sequence[str]) -> str:
    return ", ".join(shown_name(path) for path in paths[:MOST_EXAMPLES])
