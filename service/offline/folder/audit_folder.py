"""The folder that an audit writes: shards that are whole or not there at all, and all that is needed to go on."""

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from service.errors import InputError
from service.offline.folder.contract import Contract, read_contract, resumed
from service.offline.folder.done_marks import mark_of, write_mark
from service.offline.folder.durable import parquet_bytes, write_durably
from service.offline.folder.listing import Listing
from service.offline.folder.listing_ahead import ListingAhead
from service.offline.folder.locking import LOCK_FILE, locked
from service.offline.folder.names import (
    CONTRACT_FILE,
    DONE_FOLDER,
    LISTING_FOLDER,
    RESULTS_FOLDER,
    TIMINGS_FOLDER,
    shard_file,
)
from service.offline.folder.standing import Standing, Tally
from service.offline.items import Item
from service.offline.sources.source import Source
from service.offline.work import JudgedShard, Shard

FOLDERS = (LISTING_FOLDER, RESULTS_FOLDER, TIMINGS_FOLDER, DONE_FOLDER)

PARTIAL = re.compile(r"\..*\.(partial|retired)")
"""What a killed run leaves of a file that it was writing; see `detector.files`."""

NOT_CONTENT = frozenset({"lost+found", LOCK_FILE})


class AuditFolder:
    """The folder that an audit writes and resumes from.

    It is read without being locked; `begin`, `shards` and `write` belong inside `locked`, in that order.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listing = Listing(path)
        self._tally = Tally()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder if there is none, and keep other processes from writing into it.

        Raises:
            InputError: another process audits into it, it holds something else, or it may not be written.
            OSError: the disk failed.
        """
        self._refuse_other_content()
        with locked(self.path):
            yield

    def begin(self, contract: Contract) -> tuple[bool, Contract]:
        """Write down what the audit is of, or compare it with what was written down.

        Returns:
            Whether an audit is resumed, and what it goes on with.

        Raises:
            InputError: the audit that is there is another one; shows each difference.
            OSError: it cannot be written.
        """
        self._remove_partial_files()
        file = self.path / CONTRACT_FILE
        if file.exists():
            return True, resumed(self.path, read_contract(self.path), contract)
        write_durably(file, contract.as_bytes())
        return False, contract

    def shards(self, source: Source, shard_size: int, check: Callable[[], None]) -> Iterator[Shard]:
        """List a source, and give the shards that are not done yet, in order.

        The source is listed by a thread of its own, which is ahead as far as it can be. Where it had been listed to the
        end before, all of it is compared before the first shard is given. Close the iterator if it is not used up.

        Args:
            check: called often, from that thread; what it raises is raised here.

        Raises:
            InputError: the source has changed since it was listed, holds no images, or cannot be used any more.
            OSError: the disk or the network failed.
        """
        with contextlib.closing(ListingAhead(self._listing, self._tally, source, shard_size, check)) as ahead:
            for number in ahead:
                yield Shard(number=number, items=self._listing.read(number))

    def write(self, shard: JudgedShard) -> None:
        """Write a shard's results and timings, and then the mark that says so.

        Raises:
            ValueError: its rows are not those that were listed.
            OSError: they cannot be written, and the shard is not done.
        """
        n_rows = {shard.results.num_rows, shard.timings.num_rows, self._listing.n_items(shard.number)}
        if len(n_rows) > 1:
            raise ValueError(
                f"shard {shard.number} has {sorted(n_rows)} rows; results, timings and listing have as many"
            )
        results = parquet_bytes(shard.results)
        mark = mark_of(shard.results, results, self._listing.digest(shard.number))
        write_durably(self.path / RESULTS_FOLDER / shard_file(shard.number), results)
        write_durably(self.path / TIMINGS_FOLDER / shard_file(shard.number), parquet_bytes(shard.timings))
        write_mark(self.path, shard.number, mark)
        self._tally.done(mark.n_images, mark.n_flagged, mark.n_undecided, mark.n_errors)

    @property
    def progress(self) -> Standing:
        """How far the audit is; from any thread."""
        return self._tally.standing

    def read_shard(self, number: int) -> list[Item]:
        """The items of a shard, as they were listed.

        Raises:
            InputError: it was not listed, or its listing is damaged.
        """
        return self._listing.read(number)

    def _refuse_other_content(self) -> None:
        if (self.path / CONTRACT_FILE).exists() or not self.path.is_dir():
            return
        for entry in self.path.iterdir():
            if not entry.name.startswith(".") and entry.name not in NOT_CONTENT:
                raise InputError(
                    f"{self.path} holds {entry.name!r} and no audit; give a folder that is empty or does not exist"
                )

    def _remove_partial_files(self) -> None:
        for folder in (self.path, *(self.path / name for name in FOLDERS)):
            if folder.is_dir():
                for entry in folder.iterdir():
                    if PARTIAL.fullmatch(entry.name) and entry.is_file():
                        entry.unlink()
