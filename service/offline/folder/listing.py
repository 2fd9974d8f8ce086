"""What was listed of a source: a file for each shard, and a record once all of it was listed."""

import hashlib
import itertools
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from service.errors import InputError
from service.offline.folder.durable import parquet_bytes, parquet_table, write_durably
from service.offline.folder.names import LISTING_FILE, LISTING_FOLDER, shard_file
from service.offline.items import Item
from service.offline.schema import listed_items, listing_table

logger = logging.getLogger(__name__)


class ListingDiffersError(Exception):
    """A shard was listed with other items before."""


class ListingRecord(BaseModel):
    """What `listing.json` holds, once a source was listed to its end.

    Attributes:
        skipped: files that are no images, by suffix.
        sha256: over the digests of the shards' listings, in order.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_shards: int
    n_items: int
    skipped: dict[str, int]
    sha256: str


class Listing:
    """The listing in the folder of an audit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, number: int) -> Path:
        """Where a shard's items are listed."""
        return self.folder / LISTING_FOLDER / shard_file(number)

    def digest(self, number: int) -> str:
        """The sha256 of a shard's listing.

        Raises:
            OSError: it is not there.
        """
        return hashlib.sha256(self.file(number).read_bytes()).hexdigest()

    def read(self, number: int) -> list[Item]:
        """The items of a shard.

        Raises:
            InputError: it was not listed, or its listing is damaged.
        """
        path = self.file(number)
        try:
            table = parquet_table(path.read_bytes())
        except FileNotFoundError as error:
            raise InputError(f"{path} is missing: shard {number} was not listed") from error
        if table is None:
            raise InputError(f"{path} is damaged; the command that made the audit makes it again")
        return listed_items(table)

    def n_items(self, number: int) -> int:
        """How many items of a shard were listed.

        Raises:
            OSError: the listing is not there.
        """
        return int(pq.read_metadata(self.file(number)).num_rows)

    def following(self, number: int) -> Iterator[Item]:
        """The items of a shard and of all behind it, as far as they were listed."""
        for further in itertools.count(number):
            if not self.file(further).exists():
                return
            yield from self.read(further)

    def keep(self, number: int, items: Sequence[Item], columns: Any) -> str:
        """Write a shard's items, or compare them with those that were written; its sha256.

        Raises:
            ListingDiffersError: those are others.
            OSError: it cannot be written.
        """
        path, table = self.file(number), listing_table(items, columns)
        content = parquet_bytes(table)
        if path.exists():
            there = path.read_bytes()
            if there == content or self._holds(path, there, table):
                return hashlib.sha256(there).hexdigest()
        write_durably(path, content)
        return hashlib.sha256(content).hexdigest()

    def record(self) -> ListingRecord | None:
        """What was written at the end; None where the listing did not get there.

        Raises:
            InputError: it is damaged.
        """
        path = self.folder / LISTING_FILE
        try:
            return ListingRecord.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise InputError(f"{LISTING_FILE} is damaged; the command that made the audit makes it again") from error

    def complete(self, *, n_shards: int, n_items: int, skipped: Mapping[str, int], sha256: str) -> None:
        """Write down that this is all.

        Raises:
            OSError: it cannot be written.
        """
        record = ListingRecord(n_shards=n_shards, n_items=n_items, skipped=dict(sorted(skipped.items())), sha256=sha256)
        content = (json.dumps(record.model_dump(), indent=2) + "\n").encode()
        write_durably(self.folder / LISTING_FILE, content)

    def _holds(self, path: Path, content: bytes, table: Any) -> bool:
        """Whether a file holds a table, be it written by another version; a damaged one is to be written again."""
        kept = parquet_table(content)
        if kept is None:
            logger.warning("%s/%s is damaged; it is listed again", path.parent.name, path.name)
            return False
        if not kept.equals(table):
            raise ListingDiffersError
        return True
