"""Feedback as it is kept: which verdict was wrong, and what would have been right."""

import dataclasses
import json
import secrets
import time
from collections.abc import Iterator

from detector.verdict import Decision
from service.audits.database import Database
from service.errors import OverloadedError
from service.records import Record

MOST_KEPT = 100_000
"""Of one key."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Feedback:
    """What somebody says of one verdict.

    Attributes:
        key_id: whose request it was, and who says so.
        request_id, position: which image of which request.
        image_digest: of the pixels that were judged.
        correct_label: index among the bundle's labels; None where it was not said.
        record: the verdict.
        image: the pixels that were judged as a PNG file; None where nobody gave them.
        created: Unix time in seconds.
    """

    id: str = dataclasses.field(default_factory=lambda: secrets.token_hex(16))
    key_id: str
    request_id: str
    position: int
    bundle: str
    bundle_digest: str
    image_digest: str
    correct_decision: Decision
    correct_label: int | None
    note: str | None
    record: Record
    image: bytes | None
    created: float = dataclasses.field(default_factory=time.time)


COLUMNS = tuple(field.name for field in dataclasses.fields(Feedback))


class FeedbackStore:
    """Reads and writes feedback; safe from any thread, and each call waits for the disk."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, feedback: Feedback) -> None:
        """Keep it, in place of what the same key said of the same image before.

        Raises:
            OverloadedError: the key has said too much.
        """
        values = {column: getattr(feedback, column) for column in COLUMNS}
        values["record"] = json.dumps(feedback.record)
        with self._database.writing() as connection:
            connection.execute(
                "DELETE FROM feedback WHERE key_id = :key_id AND request_id = :request_id AND position = :position",
                values,
            )
            n_kept = connection.execute("SELECT COUNT(*) FROM feedback WHERE key_id = :key_id", values).fetchone()[0]
            if n_kept >= MOST_KEPT:
                raise OverloadedError(f"{MOST_KEPT} verdicts have feedback already, and no more", retry_after=3600.0)
            marks = ", ".join(f":{column}" for column in COLUMNS)
            connection.execute(f"INSERT INTO feedback ({', '.join(COLUMNS)}) VALUES ({marks})", values)

    def after(self, number: int, *, key_id: str | None, bundle: str | None, limit: int) -> list[tuple[int, Feedback]]:
        """Feedback with its number, behind a number, in the order it came; None stands for every key or bundle."""
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT number, {', '.join(COLUMNS)} FROM feedback WHERE number > ?1 "
                "AND (?2 IS NULL OR key_id = ?2) AND (?3 IS NULL OR bundle = ?3) ORDER BY number LIMIT ?4",
                (number, key_id, bundle, limit),
            ).fetchall()
        return [(row[0], _feedback(row[1:])) for row in rows]

    def each(self, *, key_id: str | None, bundle: str | None, at_once: int = 64) -> Iterator[Feedback]:
        """All of it, a few at a time."""
        number = 0
        while numbered := self.after(number, key_id=key_id, bundle=bundle, limit=at_once):
            for number, feedback in numbered:  # noqa: B007 (the last one is where the next few begin)
                yield feedback


def _feedback(row: tuple[object, ...]) -> Feedback:
    values = dict(zip(COLUMNS, row, strict=True))
    values |= {
        "correct_decision": Decision(str(values["correct_decision"])),
        "record": json.loads(str(values["record"])),
    }
    return Feedback(**values)  # type: ignore[arg-type]  # SQLite's columns have the types of the fields
