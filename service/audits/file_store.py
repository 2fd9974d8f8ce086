"""The files of an audit, as they are kept: one row each, and in it the record once the file is judged.

The row exists before the file is judged and takes one record; with the counts it is written in one transaction. So an
audit that was interrupted goes on with the first row that has no record, and neither loses nor repeats any.
"""

import dataclasses
import itertools
import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence

from detector.verdict import Decision
from service.audits.database import Database
from service.audits.store import Audit
from service.records import Record

SLICE = 10_000
"""Rows that are written or taken out in one transaction, so that nobody else who writes waits long."""


class AuditCancelledError(Exception):
    """The audit does not run any more: somebody deleted it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AuditFile:
    """One file of an audit.

    Attributes:
        position: among the files of its audit, in their order.
        name: what the record calls it.
        place: its path, as the file system has it; in an archive, below the folder it is unpacked to.
        size, changed_ns: in bytes and nanoseconds of Unix time, when it was listed.
        refused: why it is not even opened.
    """

    position: int = -1
    name: str
    place: bytes = b""
    size: int = 0
    changed_ns: int = 0
    refused: str | None = None


COLUMNS = tuple(field.name for field in dataclasses.fields(AuditFile))


class FileStore:
    """Reads and writes the files of audits; safe from any thread, and each call waits for the disk."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, audit: Audit, files: Iterable[AuditFile], n_skipped: Callable[[], int], check: Callable[[], None]
    ) -> None:
        """List the files of an audit in the order they come in; the listing counts once all of it is there.

        Args:
            n_skipped: asked at the end; files that are no images by their names.
            check: asked now and then; what it raises ends it.
        """
        self.clear(audit)
        numbered = enumerate(files)
        n_files = 0
        # In many short transactions: a large folder is listed for minutes, and others have to write meanwhile.
        while rows := [_row(audit, *item) for item in itertools.islice(numbered, SLICE)]:
            check()
            with self._database.writing() as connection:
                connection.executemany("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, NULL)", rows)
            n_files += len(rows)
        with self._database.writing() as connection:
            _update_running(connection, audit, "n_files = ?, n_skipped = ?", n_files, n_skipped())

    def clear(self, audit: Audit) -> None:
        """Take the files of an audit out."""
        n_deleted = SLICE
        while n_deleted == SLICE:
            with self._database.writing() as connection:
                n_deleted = connection.execute(
                    "DELETE FROM files WHERE audit = ?1 AND position IN "
                    "(SELECT position FROM files WHERE audit = ?1 LIMIT ?2)",
                    (audit.number, SLICE),
                ).rowcount

    def unjudged(self, audit: Audit, *, after: int, limit: int) -> list[AuditFile]:
        """The next files without a record behind a position."""
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT {', '.join(COLUMNS)} FROM files "
                "WHERE audit = ? AND position > ? AND record IS NULL ORDER BY position LIMIT ?",
                (audit.number, after, limit),
            ).fetchall()
        return [AuditFile(**dict(zip(COLUMNS, row, strict=True))) for row in rows]

    def judged(self, audit: Audit, records: Sequence[tuple[int, Record]], seconds: float) -> None:
        """Write the records of some files, given with their positions, and what they took.

        Raises:
            AuditCancelledError: nobody wants them any more.
        """
        decisions = [record["decision"] for _, record in records if record["outcome"] is not None]
        counts = (
            len(decisions),
            decisions.count(Decision.ADVERSARIAL),
            decisions.count(Decision.UNDECIDED),
            len(records) - len(decisions),
        )
        with self._database.writing() as connection:
            written = connection.executemany(
                "UPDATE files SET record = ? WHERE audit = ? AND position = ? AND record IS NULL",
                [(json.dumps(record, allow_nan=False), audit.number, position) for position, record in records],
            ).rowcount
            if written != len(records):
                raise AuditCancelledError
            _update_running(
                connection,
                audit,
                "n_judged = n_judged + ?, n_flagged = n_flagged + ?, n_undecided = n_undecided + ?, "
                "n_errors = n_errors + ?, seconds = seconds + ?",
                *counts,
                seconds,
            )

    def results(self, audit: Audit, *, offset: int, limit: int) -> list[str]:
        """Records as lines of JSON, in the order of the files."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT record FROM files WHERE audit = ? AND position >= ? AND position < ? AND record IS NOT NULL "
                "ORDER BY position",
                (audit.number, offset, offset + limit),
            ).fetchall()
        return [row[0] for row in rows]


def _row(audit: Audit, position: int, file: AuditFile) -> tuple[object, ...]:
    return (audit.number, position, file.name, file.place, file.size, file.changed_ns, file.refused)


def _update_running(connection: sqlite3.Connection, audit: Audit, changes: str, *values: float) -> None:
    cursor = connection.execute(
        f"UPDATE audits SET {changes} WHERE number = ? AND state = 'running'", [*values, audit.number]
    )
    if cursor.rowcount != 1:
        raise AuditCancelledError
