"""What stands in the folder of an audit, read while the audit may still be writing."""

import dataclasses
import json
import re
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
from service.offline.folder.done_marks import DONE_FOLDER, RESULTS_FOLDER
from service.offline.folder.listing import LISTING_FOLDER
from service.offline.folder.shards import shard_file
from service.offline.items import Item
from service.offline.schema import listed_items

SHARD = re.compile(r"([0-9]{8,})\.json")

TABLES_KEPT = 8
"""Of the shards last looked at: a page of images often comes from few."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standing:
    """How far the audit is.

    Attributes:
        contract: what is audited, and with what.
        n_listed: images that the source has; None until all of them were listed.
        threshold: largest p-value of a discovery; None where there is none.
        has_discoveries: whether the list was made, which is done at the end; it may be empty.
    """

    contract: Contract
    n_listed: int | None
    threshold: float | None
    has_discoveries: bool
    has_report: bool


class AuditFiles:
    """Reads the files of an audit; safe from any thread.

    Raises:
        InputError: the folder is not there, or no audit was written to it.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder; give the one that isthmus audit wrote with --out")
        self.folder = folder.absolute()
        self._tables: OrderedDict[Path, Any] = OrderedDict()
        self._lock = threading.Lock()
        read_contract(self.folder)

    def standing(self) -> Standing:
        """How far the audit is now.

        Raises:
            InputError: a file is damaged.
        """
        listing = self.folder / "listing.json"
        discoveries = self.folder / "discoveries.parquet"
        has_discoveries = discoveries.exists()
        return Standing(
            contract=read_contract(self.folder),
            n_listed=_number_listed(listing) if listing.exists() else None,
            threshold=_largest_p_value(discoveries) if has_discoveries else None,
            has_discoveries=has_discoveries,
            has_report=self.report.exists(),
        )

    @property
    def report(self) -> Path:
        """The report, which may not be there yet."""
        return self.folder / "report.html"

    def done(self) -> list[int]:
        """The shards that are whole, in order."""
        try:
            names = [entry.name for entry in (self.folder / DONE_FOLDER).iterdir()]
        except FileNotFoundError:
            return []
        return sorted(int(match[1]) for name in names if (match := SHARD.fullmatch(name)))

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


def _number_listed(file: Path) -> int:
    try:
        return int(json.loads(file.read_bytes())["n_items"])
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(file) from error


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
