"""The columns that are filtered and sorted by, in a DuckDB file of their own that goes away with the process.

Taken from the Parquet files shard by shard as the audit writes them, so that nothing is looked at twice: over a
thousand small files each query would open all of them again.
"""

import contextlib
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from service.errors import InputError
from service.viewing.audit_files import AuditFiles
from service.viewing.selection import Kind

MEMORY = "1GB"
"""What DuckDB may take; beyond that it writes into the temporary folder."""

SHARDS_AT_ONCE = 64

COLUMNS = [
    "path",
    "digest",
    "decision",
    "label",
    "label_name",
    "given_label",
    "suspected_label_name",
    "score",
    "p_value",
    "barrier",
    "outcome",
    "error",
]

TABLE = """
CREATE TABLE image (
    shard INTEGER, row INTEGER, path VARCHAR, digest VARCHAR, kind VARCHAR, label_name VARCHAR, given_label VARCHAR,
    suspected_label_name VARCHAR, score DOUBLE, p_value DOUBLE, barrier DOUBLE, error VARCHAR,
    disagrees BOOLEAN
)
"""

KNOWN = """
CREATE TABLE known AS SELECT unnest($names) AS name, unnest($numbers) AS number
"""
"""What sources may call the classifier's labels."""

LOADING = f"""
INSERT INTO image
SELECT shard, row, path, digest, CASE WHEN outcome IS NULL THEN '{Kind.UNREADABLE}' ELSE decision END, label_name,
    given_label, suspected_label_name, score, p_value, barrier, error, coalesce(CASE
        WHEN said IN (SELECT name FROM known) THEN said <> lower(trim(label_name))
        WHEN said IN (SELECT number FROM known) THEN said <> CAST(label AS VARCHAR)
    END, false)
FROM (SELECT *, lower(trim(given_label)) AS said FROM loading)
"""
"""A given label that is none of the classifier's does not disagree; `service.offline.summary.groups` compares alike."""


class ResultIndex:
    """The results of an audit, as far as they were there at the last `load`; safe from any thread.

    Attributes:
        damaged: shards that could not be read the last time.
    """

    def __init__(self, files: AuditFiles) -> None:
        self._files = files
        self._folder = tempfile.TemporaryDirectory(prefix="isthmus-view-")
        folder = Path(self._folder.name)
        self._connection = duckdb.connect(
            folder / "index.duckdb", config={"memory_limit": MEMORY, "temp_directory": str(folder / "spilled")}
        )
        self._connection.execute(TABLE)
        labels = files.contract.labels
        self._connection.execute(
            KNOWN,
            {
                "names": [label.strip().lower() for label in labels],
                "numbers": [str(number) for number in range(len(labels))],
            },
        )
        # Queries have no business outside of the index.
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET lock_configuration = true")
        self._loading = threading.Lock()
        self._loaded: set[int] = set()
        self.damaged: tuple[int, ...] = ()

    @property
    def n_shards(self) -> int:
        """How many shards the index holds."""
        return len(self._loaded)

    def load(self) -> Iterator[int]:
        """Take in the shards that have been finished since; yields how many images came with each step."""
        with self._loading:
            new = [shard for shard in self._files.done() if shard not in self._loaded]
            damaged: list[int] = []
            for start in range(0, len(new), SHARDS_AT_ONCE):
                tables = {shard: self._readable(shard) for shard in new[start : start + SHARDS_AT_ONCE]}
                whole = {shard: table for shard, table in tables.items() if table is not None}
                # Tried again the next time: a resumed audit judges them again.
                damaged += [shard for shard in tables if shard not in whole]
                self.damaged = tuple(damaged)
                if whole:
                    self._insert(pa.concat_tables(whole.values()))
                    self._loaded.update(whole)
                    yield sum(table.num_rows for table in whole.values())

    def fetch(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        with self._cursor() as cursor:
            return list(cursor.execute(sql, list(values)).fetchall())

    def stream(self, sql: str, values: Sequence[object] = (), *, n_rows: int = 64) -> Iterator[tuple[Any, ...]]:
        """The same, taken only as fast as they are wanted."""
        with self._cursor() as cursor:
            cursor.execute(sql, list(values))
            while rows := cursor.fetchmany(n_rows):
                yield from rows

    def close(self) -> None:
        """Let go of the index and its file."""
        with self._loading:
            self._connection.close()
            self._folder.cleanup()

    def _readable(self, shard: int) -> Any | None:
        try:
            table = self._files.results(shard, COLUMNS)
        except InputError:
            return None
        rows = pa.array(range(table.num_rows), pa.int32())
        shards = pa.repeat(pa.scalar(shard, pa.int32()), table.num_rows)
        return table.append_column("row", rows).append_column("shard", shards)

    def _insert(self, table: Any) -> None:
        with self._cursor() as cursor:
            cursor.register("loading", table)
            cursor.execute(LOADING)
            cursor.unregister("loading")

    @contextlib.contextmanager
    def _cursor(self) -> Iterator[Any]:
        cursor = self._connection.cursor()
        try:
            yield cursor
        finally:
            cursor.close()
