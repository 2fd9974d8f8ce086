"""Which images of an audit are meant, and in which order. Nothing here imports anything heavy: `--help` reads it."""

import dataclasses
import enum


class Kind(enum.StrEnum):
    """What became of an image. The first is the two that follow it; one that could not be read is of none of these."""

    FLAGGED = "flagged"
    ADVERSARIAL = "adversarial"
    UNDECIDED = "undecided"
    CLEAN = "clean"
    UNREADABLE = "unreadable"


class Order(enum.StrEnum):
    """What rows are sorted by; suspicion is the smallest p-value first, and the highest score among equal ones."""

    SUSPICION = "suspicion"
    SOURCE = "source"
    PATH = "path"
    KIND = "kind"
    LABEL = "label"
    GIVEN_LABEL = "given_label"
    SUSPECTED_LABEL = "suspected_label"
    SCORE = "score"
    BARRIER = "barrier"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Selection:
    """Images that are everything that is asked for; None and False ask for nothing.

    Attributes:
        label, given_label, suspected_label: names, exactly.
        p_value_least, p_value_most: both ends belong to the range.
        folder: images below it, at any depth.
        text: a piece of the path, in any case of letters, or a whole digest.
        discoveries: those on the list at the audit's false-discovery rate.
        disagrees: the source gives another of the classifier's labels, by name in any case of letters or by number.
    """

    kind: Kind | None = None
    label: str | None = None
    given_label: str | None = None
    suspected_label: str | None = None
    p_value_least: float | None = None
    p_value_most: float | None = None
    folder: str | None = None
    text: str | None = None
    discoveries: bool = False
    disagrees: bool = False


@dataclasses.dataclass(frozen=True)
class Condition:
    """What rows must satisfy: SQL in which each value has a place of its own."""

    sql: str
    values: tuple[object, ...] = ()


def condition_of(selection: Selection, threshold: float | None) -> Condition:
    """The condition of a selection.

    Args:
        threshold: largest p-value of a discovery; None where nothing was discovered.
    """
    folder = None if selection.folder is None else selection.folder.strip("/")
    parts = [
        _kind(selection.kind),
        _equal("label_name", selection.label),
        _equal("given_label", selection.given_label),
        _equal("suspected_label_name", selection.suspected_label),
        _if(selection.p_value_least, "p_value >= ?"),
        _if(selection.p_value_most, "p_value <= ?"),
        _if(f"{folder}/" if folder else None, "starts_with(path, ?)"),
        _text(selection.text),
        _discoveries(threshold) if selection.discoveries else None,
        Condition("disagrees") if selection.disagrees else None,
    ]
    return together([part for part in parts if part is not None])


def together(parts: list[Condition]) -> Condition:
    """All of some conditions at once."""
    sql = " AND ".join(f"({part.sql})" for part in parts)
    return Condition(sql or "true", tuple(value for part in parts for value in part.values))


def _kind(kind: Kind | None) -> Condition | None:
    if kind is Kind.FLAGGED:
        return Condition("kind IN (?, ?)", (Kind.ADVERSARIAL.value, Kind.UNDECIDED.value))
    return None if kind is None else Condition("kind = ?", (kind.value,))


def _equal(column: str, value: str | None) -> Condition | None:
    return None if value is None else Condition(f"{column} = ?", (value,))


def _if(value: object | None, sql: str) -> Condition | None:
    return None if value is None else Condition(sql, (value,))


def _text(text: str | None) -> Condition | None:
    if not text:
        return None
    return Condition("contains(lower(path), lower(?)) OR digest = ?", (text, text))


def _discoveries(threshold: float | None) -> Condition:
    # Nothing is on a list that is empty.
    if threshold is None:
        return Condition("false")
    return Condition("kind = ? AND p_value <= ?", (Kind.ADVERSARIAL.value, threshold))
