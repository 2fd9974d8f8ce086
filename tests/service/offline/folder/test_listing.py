"""What was listed is read back as it was, and damage is told from change."""

import datetime
import logging
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.errors import InputError
from service.offline.folder.listing import Listing, ListingDiffersError, ListingRecord
from service.offline.folder.names import LISTING_FILE
from service.offline.items import Holder, Item
from service.offline.schema import listing_table

NO_COLUMNS = pa.schema([])
COLUMNS = pa.schema([("note", pa.string()), ("taken", pa.timestamp("us")), ("sizes", pa.list_(pa.int16()))])

ITEMS = [
    Item(path="a\\xff\n.png", container=os.fsdecode(b"/pictures/a\xff\n.png"), size=3, stamp="17", given_label="cat"),
    Item(path="s.tar/1.png", holder=Holder.TAR, container="s3://bucket/s.tar", position=512),
    Item(path="pipe", refused="not a regular file"),
]


def test_items_are_read_as_they_were_listed(tmp_path: Path) -> None:
    listing = Listing(tmp_path)
    digest = listing.keep(3, ITEMS, NO_COLUMNS)
    assert listing.read(3) == ITEMS
    assert listing.digest(3) == digest
    assert listing.n_items(3) == 3


def test_columns_of_the_source_keep_their_types(tmp_path: Path) -> None:
    values = ("x", datetime.datetime(2020, 1, 2, 3, 4, 5), [1, None])
    item = Item(path="a.png", columns=values)
    listing = Listing(tmp_path)
    listing.keep(0, [item, Item(path="b.png", columns=(None, None, None))], COLUMNS)
    assert listing.read(0)[0] == item
    assert listing.keep(0, listing.read(0), COLUMNS) == listing.digest(0)


def test_other_items_than_before_are_no_damage(tmp_path: Path) -> None:
    listing = Listing(tmp_path)
    listing.keep(0, ITEMS, NO_COLUMNS)
    with pytest.raises(ListingDiffersError):
        listing.keep(0, ITEMS[:2], NO_COLUMNS)
    assert listing.read(0) == ITEMS


def test_a_listing_that_another_version_wrote_stays(tmp_path: Path) -> None:
    listing = Listing(tmp_path)
    listing.keep(0, ITEMS, NO_COLUMNS)
    pq.write_table(listing_table(ITEMS, NO_COLUMNS), listing.file(0), compression="gzip")
    before = listing.file(0).read_bytes()
    assert listing.keep(0, ITEMS, NO_COLUMNS) == listing.digest(0)
    assert listing.file(0).read_bytes() == before


def test_a_damaged_listing_is_written_again_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    listing = Listing(tmp_path)
    digest = listing.keep(0, ITEMS, NO_COLUMNS)
    listing.file(0).write_bytes(listing.file(0).read_bytes()[:-7])
    with pytest.raises(InputError, match="damaged"):
        listing.read(0)
    with caplog.at_level(logging.WARNING):
        assert listing.keep(0, ITEMS, NO_COLUMNS) == digest == listing.digest(0)
    assert "listing/00000000.parquet is damaged" in caplog.text


def test_a_shard_that_was_not_listed_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="shard 5 was not listed"):
        Listing(tmp_path).read(5)


def test_items_behind_a_shard_come_in_order(tmp_path: Path) -> None:
    listing = Listing(tmp_path)
    for number, item in enumerate(ITEMS):
        listing.keep(number, [item], NO_COLUMNS)
    assert list(listing.following(1)) == ITEMS[1:]


def test_the_record_is_there_once_all_was_listed(tmp_path: Path) -> None:
    listing = Listing(tmp_path)
    assert listing.record() is None
    listing.complete(n_shards=1, n_items=3, skipped={".txt": 1, "": 2}, sha256="f" * 64)
    assert listing.record() == ListingRecord(n_shards=1, n_items=3, skipped={".txt": 1, "": 2}, sha256="f" * 64)
    (tmp_path / LISTING_FILE).write_text("{}")
    with pytest.raises(InputError, match=r"listing\.json is damaged"):
        listing.record()
