"""Audits as they are kept: what was asked, and how far each has come; their files are in `file_store`."""

import dataclasses
import enum
import secrets
import time
from collections.abc import Collection, Sequence

from service.audits.database import Database
from service.errors import NotFoundError


class State(enum.StrEnum):
    """QUEUED → RUNNING → DONE or FAILED; CANCELLED is being forgotten and shown to nobody."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Kind(enum.StrEnum):
    """Where the files of an audit are."""

    FOLDER = "folder"
    ARCHIVE = "archive"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Audit:
    """One audit.

    Attributes:
        number: its place in the order in which they came.
        key_id: whose it is.
        bundle_digest: of the bundle when the audit began; another bundle does not go on with it.
        source: the folder, or the name of the archive.
        error: why it failed.
        can_resume: whether it may be queued again.
        created, finished: Unix time in seconds.
        n_files: None until they are listed.
        n_skipped: files that are no images by their names.
        n_judged: files with a verdict, flagged and undecided ones among them.
        n_errors: files that could not be judged.
        seconds: how long files have been judged.
    """

    number: int = 0
    id: str = dataclasses.field(default_factory=lambda: secrets.token_hex(16))
    key_id: str
    bundle: str
    bundle_digest: str
    false_positive_rate: float
    kind: Kind
    source: str
    state: State = State.QUEUED
    error: str | None = None
    can_resume: bool = False
    created: float = dataclasses.field(default_factory=time.time)
    finished: float | None = None
    n_files: int | None = None
    n_skipped: int = 0
    n_judged: int = 0
    n_flagged: int = 0
    n_undecided: int = 0
    n_errors: int = 0
    seconds: float = 0.0


COLUMNS = tuple(field.name for field in dataclasses.fields(Audit))


class AuditStore:
    """Reads and writes audits; safe from any thread, and each call waits for the disk."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, audit: Audit) -> None:
        """Keep a new audit."""
        columns = COLUMNS[1:]
        with self._database.writing() as connection:
            connection.execute(
                f"INSERT INTO audits ({', '.join(columns)}) VALUES ({', '.join('?' for _ in columns)})",
                [getattr(audit, column) for column in columns],
            )

    def find(self, audit_id: str, key_id: str | None) -> Audit:
        """The audit of that id, if it is the key's; None stands for every key.

        Raises:
            NotFoundError: there is none that the key may see.
        """
        rows = self._select(
            "id = ? AND (? IS NULL OR key_id = ?) AND state != ?", audit_id, key_id, key_id, "cancelled"
        )
        if not rows:
            raise NotFoundError(f"there is no audit {audit_id[:64]!r}; GET /v1/audits lists those there are")
        return rows[0]

    def of_key(self, key_id: str | None, *, offset: int, limit: int) -> list[Audit]:
        """A key's audits, the newest first; None stands for every key."""
        return self._select(
            "(? IS NULL OR key_id = ?) AND state != ? ORDER BY number DESC LIMIT ? OFFSET ?",
            *(key_id, key_id, "cancelled", limit, offset),
        )

    def count(self, key_id: str, *states: State) -> int:
        """How many audits in those states a key has; in all states but CANCELLED where none is named."""
        chosen = states or tuple(state for state in State if state is not State.CANCELLED)
        marks = ", ".join("?" for _ in chosen)
        with self._database.reading() as connection:
            row = connection.execute(
                f"SELECT COUNT(*) FROM audits WHERE key_id = ? AND state IN ({marks})", [key_id, *chosen]
            ).fetchone()
        return int(row[0])

    def in_state(self, state: State) -> list[Audit]:
        """Every audit in a state, the oldest first."""
        return self._select("state = ? ORDER BY number", state)

    def take(self, busy_keys: Collection[str]) -> Audit | None:
        """Mark the oldest queued audit, of a key that has none running, as running; None where there is none."""
        for audit in self.in_state(State.QUEUED):
            if audit.key_id not in busy_keys and self._move(audit, (State.QUEUED,), State.RUNNING):
                return dataclasses.replace(audit, state=State.RUNNING)
        return None

    def requeue_interrupted(self) -> None:
        """Whatever ran when the last server ended waits again."""
        with self._database.writing() as connection:
            connection.execute("UPDATE audits SET state = 'queued' WHERE state = 'running'")

    def resume(self, audit: Audit) -> bool:
        """Queue a failed audit again, if it can be; says whether it was."""
        return audit.can_resume and self._move(audit, (State.FAILED,), State.QUEUED)

    def finish(self, audit: Audit) -> None:
        """Every file has its record."""
        self._move(audit, (State.RUNNING,), State.DONE)

    def fail(self, audit: Audit, reason: str, *, can_resume: bool) -> None:
        """It cannot go on."""
        self._move(audit, (State.RUNNING,), State.FAILED, reason, can_resume)

    def cancel(self, audit: Audit) -> None:
        """From now on nobody sees it; `forget` takes its rows."""
        self._move(audit, (State.QUEUED, State.RUNNING, State.DONE, State.FAILED), State.CANCELLED)

    def forget(self, audit: Audit) -> None:
        """Take a cancelled audit out, once its files are."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM audits WHERE number = ?", (audit.number,))

    def _select(self, condition: str, *values: object) -> list[Audit]:
        with self._database.reading() as connection:
            rows = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM audits WHERE {condition}", values).fetchall()
        return [_audit(row) for row in rows]

    def _move(
        self, audit: Audit, before: Sequence[State], after: State, error: str | None = None, can_resume: bool = False
    ) -> bool:
        finished = time.time() if after in (State.DONE, State.FAILED) else None
        with self._database.writing() as connection:
            cursor = connection.execute(
                "UPDATE audits SET state = ?, error = ?, can_resume = ?, finished = ? "
                f"WHERE number = ? AND state IN ({', '.join('?' for _ in before)})",
                [after, error, can_resume, finished, audit.number, *before],
            )
        return cursor.rowcount == 1


def _audit(row: Sequence[object]) -> Audit:
    values = dict(zip(COLUMNS, row, strict=True))
    values |= {
        "state": State(str(values["state"])),
        "kind": Kind(str(values["kind"])),
        "can_resume": bool(values["can_resume"]),
    }
    return Audit(**values)  # type: ignore[arg-type]  # SQLite's columns have the types of the fields
