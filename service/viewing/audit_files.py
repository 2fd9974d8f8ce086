"""What stands in the folder of an audit, read while the audit may still be writing."""

import dataclasses
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from service.errors import InputError, NotFoundError
from service.offline.folder.contract import Contract, read_contract
from service.offline.folder.listing import Listing
from service.offline.folder.names import (
    DISCOVERIES_FILE,
    DONE_FOLDER,
    LISTING_FOLDER,
    MARK,
    REPORT_FILE,
    RESULTS_FOLDER,
    shard_file,
    shard_number,
)
from service.offline.items import Item
from service.offline.schema import listed_items

TABLES_KEPT = 8
"""Of the shards last looked at: a page of images often comes from few."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standing:
    """How far the audit is.

    Attributes:
        n_listed: images that the source has; None until all of them were listed.
        threshold: largest p-value of a discovery; None where there is none.
        has_discoveries: whether the list was made, which is done at the end; it may be empty.
    """

    n_listed: int | None
    threshold: float | None
    has_discoveries: bool
    has_report: bool


class AuditFiles:
    """Reads the files of an audit; safe from any thread.

    Attributes:
        contract: what is audited, and with what.

    Raises:
        InputError: the folder is not there, or no audit was written to it.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder; give the one that isthmus audit wrote with --out")
        self.folder = folder.absolute()
        self._tables: OrderedDict[Path, Any] = OrderedDict()
        self._lock = threading.Lock()
        self.contract: Contract = read_contract(self.folder)

    def standing(self) -> Standing:
        """How far the audit is now.

        Raises:
            InputError: a file is damaged.
        """
        listing = Listing(self.folder).record()
        discoveries = self.folder / DISCOVERIES_FILE
        has_discoveries = discoveries.exists()
        return Standing(
            n_listed=None if listing is None else listing.n_items,
            threshold=_largest_p_value(discoveries) if has_discoveries else None,
            has_discoveries=has_discoveries,
            has_report=self.report.exists(),
        )

    @property
    def report(self) -> Path:
        """The report, which may not be there yet."""
        return self.folder / REPORT_FILE

    def done(self) -> list[int]:
        """The shards that are whole, in order."""
        try:
            names = [entry.name for entry in (self.folder / DONE_FOLDER).iterdir()]
        except FileNotFoundError:
            return []
        return sorted(number for name in names if (number := shard_number(name, MARK)) is not None)

    def results(self, shard: int, columns: list[str] | None = None) -> Any:
        """The rows of a shard as a table.

        Raises:
            InputError: the file is missing or damaged.
        """
        return _read(self._results_file(shard), columns)

    def record(self, shard: int, row: int) -> dict[str, Any]:
        """All fields of one row.

        Raises:
            NotFoundError: there is no such row.
            InputError: the file is damaged.
        """
        [record] = self._row(self._results_file(shard), row).to_pylist()
        return dict(record)

    def item(self, shard: int, row: int) -> Item:
        """Where the image of a row comes from.

        Raises:
            NotFoundError: there is no such row.
            InputError: the listing is damaged.
        """
        [item] = listed_items(self._row(self.folder / LISTING_FOLDER / shard_file(shard), row))
        return item

    def chosen(self, shard: int, rows: Sequence[int]) -> tuple[list[dict[str, Any]], list[Item]]:
        """The records of some rows of a shard, and their items.

        Raises:
            InputError: a file is missing or damaged.
        """
        places = pa.array(rows, pa.int64())
        listing = _read(self.folder / LISTING_FOLDER / shard_file(shard), None)
        return self.results(shard).take(places).to_pylist(), listed_items(listing.take(places))

    def _results_file(self, shard: int) -> Path:
        return self.folder / RESULTS_FOLDER / shard_file(shard)

    def _row(self, file: Path, row: int) -> Any:
        table = self._kept(file)
        if not 0 <= row < table.num_rows:
            raise NotFoundError("the audit has no such image")
        return table.slice(row, 1)

    def _kept(self, file: Path) -> Any:
        with self._lock:
            if file in self._tables:
                self._tables.move_to_end(file)
                return self._tables[file]
        table = _read(file, None)
        with self._lock:
            self._tables[file] = table
            while len(self._tables) > TABLES_KEPT:
                self._tables.popitem(last=False)
        return table


def _read(file: Path, columns: list[str] | None) -> Any:
    try:
        # From a handle: a name may hold bytes that are no text.
        with file.open("rb") as opened:
            return pq.read_table(opened, columns=columns)
    except FileNotFoundError:
        raise NotFoundError(f"the audit has no {file.parent.name}/{file.name}") from None
    except (pa.ArrowException, OSError) as error:
        raise _damaged(file) from error


def _largest_p_value(file: Path) -> float | None:
    # Asked again and again, of a list that may have millions of rows.
    largest: float | None = pc.max(_read(file, ["p_value"]).column("p_value")).as_py()
    return largest


def _damaged(file: Path) -> InputError:
    return InputError(f"{file} is damaged; isthmus audit --verify says what else is")
