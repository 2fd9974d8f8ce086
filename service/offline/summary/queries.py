"""Questions to the results of an audit, in memory that does not follow the number of images."""

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from service.errors import InputError
from service.offline.folder.names import RESULTS_FOLDER

MEMORY = "256MB"
"""For everything that DuckDB holds; what is more than that is written below the audit's folder for the while."""

N_THREADS = 2
"""Each takes memory of its own."""

SPILL = ".spill"

_IMAGES = """
CREATE VIEW images AS SELECT
    * EXCLUDE (filename, file_row_number),
    CAST(parse_filename(filename, true) AS BIGINT) AS shard,
    file_row_number AS "row",
    outcome IS NOT NULL AS is_judged,
    p_value IS NOT NULL AS is_decided,
    decision = 'adversarial' AS is_adversarial,
    outcome IS NOT NULL AND decision <> 'clean' AS is_flagged,
    coalesce(nullif(parse_dirpath(path, 'forward_slash'), ''), '.') AS folder
FROM results
"""

_REPEATED = """
CREATE TEMP TABLE repeated AS SELECT hash(digest) AS "hash" FROM images WHERE is_judged AND digest IS NOT NULL
GROUP BY "hash" HAVING count(*) > 1
"""
"""Apart from `_COPIES`, which takes much memory for each digest, and most occur once."""

_COPIES = """
CREATE TEMP TABLE copies AS SELECT
    digest,
    count(*) AS n,
    count(*) FILTER (is_decided) AS n_decided,
    count(*) FILTER (is_adversarial) AS n_adversarial,
    min(given_label) IS DISTINCT FROM max(given_label) AS is_conflicting,
    min((shard, "row")) FILTER (is_flagged) AS first_flagged
FROM images WHERE is_judged AND hash(digest) IN (SELECT "hash" FROM repeated)
GROUP BY digest HAVING count(*) > 1
"""

STRONGEST_FIRST = 'p_value NULLS LAST, score DESC NULLS LAST, path, shard, "row"'
"""The order of flagged images and of discoveries; no two rows are alike in all of it."""


class Results:
    """The rows of an audit, while `opened_results` is open.

    The view `images` has the columns of `service.offline.schema` and of the source, and

        shard, row       where the row is
        is_judged        it could be read
        is_decided       it has a p-value
        is_adversarial, is_flagged
        folder           of the path; "." at the top
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def rows(self, query: str, **parameters: object) -> list[dict[str, Any]]:
        """The answer to a query that orders its rows, and has few of them."""
        found = self._connection.execute(query, parameters)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def execute(self, statement: str, **parameters: object) -> None:
        """Do what answers nothing, such as keeping a table for the questions to come."""
        self._connection.execute(statement, parameters)

    def write(self, query: str, path: Path) -> None:
        """Write the answer to a query that orders its rows as a Parquet file, the same bytes for the same answer."""
        self._connection.execute("SET threads = 1")
        self._connection.sql(query).write_parquet(str(path), compression="zstd")
        self._connection.execute(f"SET threads = {N_THREADS}")

    def count_copies(self) -> None:
        """Make the table `copies`: the digests that more than one judged image has."""
        self.execute(_REPEATED)
        self.execute(_COPIES)
        self.execute("DROP TABLE repeated")


@contextlib.contextmanager
def opened_results(folder: Path) -> Iterator[Results]:
    """Open the results of an audit that no other process writes.

    Raises:
        InputError: there are none, or they are damaged.
        OSError: the disk failed or is full.
    """
    files = result_files(folder)
    spill = folder / SPILL
    # Of a process that was killed.
    shutil.rmtree(spill, ignore_errors=True)
    try:
        with _as_os_errors(folder), _connected(spill) as connection:
            view = connection.read_parquet([str(path) for path in files], filename=True, file_row_number=True)
            view.create_view("results")
            connection.execute(_IMAGES)
            yield Results(connection)
    finally:
        shutil.rmtree(spill, ignore_errors=True)


def result_files(folder: Path) -> Sequence[Path]:
    """The files of the results, in the order of the shards.

    Raises:
        InputError: there are none.
    """
    files = sorted((folder / RESULTS_FOLDER).glob("[0-9]*.parquet"))
    if not files:
        raise InputError(f"{folder} holds no results of an audit; run isthmus audit --out {folder}")
    return files


@contextlib.contextmanager
def _connected(spill: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY,
        "threads": N_THREADS,
        "temp_directory": str(spill),
        # Everything that is asked for an order is given one; keeping that of the files as well takes memory.
        "preserve_insertion_order": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    connection = duckdb.connect(":memory:", config=settings)
    try:
        yield connection
    finally:
        connection.close()


@contextlib.contextmanager
def _as_os_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        # It takes memory for what it was not allowed to write.
        raise OSError(f"the results in {folder} could not be summed up: {error}") from error
    except duckdb.InvalidInputException as error:
        raise InputError(f"the results in {folder} are damaged ({error}); see isthmus audit --verify") from error
