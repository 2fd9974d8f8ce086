"""The one file in which a server keeps what must survive it, and the lock that keeps it to one server.

SQLite with a write-ahead log: what is committed survives the process being killed at any point. Every commit waits for
the disk (`synchronous=FULL`), so that it survives the machine as well: an audit commits once a chunk of images and
feedback comes by hand, which makes the wait cheap beside the work.
"""

import contextlib
import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from service.errors import EngineError, InputError

FILE = "isthmus.sqlite"
LOCK = "lock"
VERSION = 1

SCHEMA = """
CREATE TABLE audits (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    key_id TEXT NOT NULL,
    bundle TEXT NOT NULL,
    bundle_digest TEXT NOT NULL,
    false_positive_rate REAL NOT NULL,
    kind TEXT NOT NULL,
    source TEXT NOT NULL,
    state TEXT NOT NULL,
    error TEXT,
    can_resume INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL,
    finished REAL,
    n_files INTEGER,
    n_skipped INTEGER NOT NULL DEFAULT 0,
    n_judged INTEGER NOT NULL DEFAULT 0,
    n_flagged INTEGER NOT NULL DEFAULT 0,
    n_undecided INTEGER NOT NULL DEFAULT 0,
    n_errors INTEGER NOT NULL DEFAULT 0,
    seconds REAL NOT NULL DEFAULT 0
);
CREATE INDEX audits_by_key ON audits (key_id, number);
CREATE INDEX audits_by_state ON audits (state, number);
CREATE TABLE files (
    audit INTEGER NOT NULL,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    place BLOB NOT NULL,
    size INTEGER NOT NULL,
    changed_ns INTEGER NOT NULL,
    refused TEXT,
    record TEXT,
    PRIMARY KEY (audit, position)
) WITHOUT ROWID;
CREATE TABLE feedback (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    key_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    bundle TEXT NOT NULL,
    bundle_digest TEXT NOT NULL,
    image_digest TEXT NOT NULL,
    correct_decision TEXT NOT NULL,
    correct_label INTEGER,
    note TEXT,
    record TEXT NOT NULL,
    image BLOB,
    created REAL NOT NULL,
    UNIQUE (key_id, request_id, position)
);
"""


class StateError(EngineError):
    """The state folder could not be read or written."""


class Database:
    """One connection that writes and one that reads; safe from any thread, one transaction at a time on each."""

    def __init__(self, folder: Path) -> None:
        """Open or make the database of a state folder.

        Raises:
            InputError: the folder cannot be written, another server uses it, or its database is damaged or too new.
        """
        self.folder = folder
        self._lock = _lock(folder)
        try:
            self._writer, self._reader = _open(folder)
        except BaseException:
            os.close(self._lock)
            raise
        self._writing, self._reading = threading.Lock(), threading.Lock()

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is committed where the block ends well, and has not happened where it does not.

        Raises:
            StateError: the disk did not take it.
        """
        with self._writing, _explained():
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                # Some errors of the disk have rolled back already, and asking twice would hide them.
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """What was committed last; does not wait for who writes.

        Raises:
            StateError: the disk did not give it.
        """
        with self._reading, _explained():
            yield self._reader

    def close(self) -> None:
        """Give the folder back."""
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()
            os.close(self._lock)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StateError(f"the state folder cannot be used ({error}); see to its disk") from error


def _lock(folder: Path) -> int:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise InputError(
            f"the state folder {folder} cannot be written ({error.strerror}); name another one with --state"
        ) from error
    try:
        # Released by the kernel however the process ends.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        holder = str(os.getpid()).encode()
        os.ftruncate(lock, 0)
        os.pwrite(lock, holder, 0)
    except OSError as error:
        holder = os.pread(lock, 20, 0)
        os.close(lock)
        raise InputError(
            f"the state folder {folder} is used by another server (process {holder.decode(errors='replace')}); "
            "name one for each server with --state"
        ) from error
    return lock


def _open(folder: Path) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    path = folder / FILE
    connections: list[sqlite3.Connection] = []
    try:
        for _ in range(2):
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
            connections.append(connection)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            if len(connections) == 1:
                _upgrade(connection, path)
        connections[1].execute("PRAGMA query_only=ON")
    except (sqlite3.Error, InputError) as error:
        for connection in connections:
            connection.close()
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} cannot be used ({error}); put it aside, or name another folder with --state"
        ) from error
    return connections[0], connections[1]


def _upgrade(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise InputError(f"{path} was made by a newer version of Isthmus; install that one, or name another --state")
    if version == 0:
        connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version={VERSION}; COMMIT;")
