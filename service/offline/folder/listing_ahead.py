"""Lists a source while its first images are already being judged."""

import contextlib
import hashlib
import itertools
import logging
import queue
import threading
from collections.abc import Callable, Generator, Iterator

from service.errors import InputError
from service.offline.folder.done_marks import done_mark
from service.offline.folder.listing import Listing, ListingDiffersError, ListingRecord
from service.offline.folder.shards import in_shards
from service.offline.folder.source_changes import SourceChanges
from service.offline.folder.standing import Tally
from service.offline.items import Item
from service.offline.sources.source import Source

SECONDS_TO_CLOSE = 10.0
"""How long a thread is waited for that may be deep in a network call."""


logger = logging.getLogger(__name__)


class GivenUpError(Exception):
    """Nobody wants the listing any more."""


class _End:
    """There are no more shards."""


class ListingAhead:
    """The numbers of the shards of a source that are not done, in order.

    A thread lists the source as fast as it can; what it lists lies on the disk, and only numbers wait here.

    Args:
        tally: told of each shard that is listed, and of those that were done before.
        check: called often by that thread; what it raises is raised by the iteration.
    """

    def __init__(
        self, listing: Listing, tally: Tally, source: Source, shard_size: int, check: Callable[[], None]
    ) -> None:
        self._listing = listing
        self._tally = tally
        self._source = source
        self._shard_size = shard_size
        self._check = check
        self._is_closed = threading.Event()
        self._found: queue.SimpleQueue[int | BaseException | _End] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="listing", daemon=True)

    def __iter__(self) -> Iterator[int]:
        """Begin to list.

        Raises:
            InputError: the source has changed, is empty or cannot be used any more.
            OSError: the disk or the network failed.
        """
        self._thread.start()
        while True:
            found = self._found.get()
            if isinstance(found, BaseException):
                raise found
            if isinstance(found, _End):
                return
            yield found

    def close(self) -> None:
        """End the listing where it is."""
        self._is_closed.set()
        if self._thread.ident is not None:
            self._thread.join(SECONDS_TO_CLOSE)

    def _run(self) -> None:
        try:
            record = self._record()
            undone = self._undone(record)
            # Where the end is known, all is compared before anything is judged.
            for number in undone if record is None else list(undone):
                self._found.put(number)
            self._found.put(_End())
        except BaseException as error:
            self._found.put(error)

    def _record(self) -> ListingRecord | None:
        try:
            return self._listing.record()
        except InputError as error:
            logger.warning("%s", error)
            return None

    def _undone(self, record: ListingRecord | None) -> Iterator[int]:
        digests, n_items, n_shards = hashlib.sha256(), 0, 0
        with contextlib.closing(self._items()) as items:
            shards = in_shards(items, self._shard_size)
            for number, shard in enumerate(shards):
                digest = self._kept(number, shard, shards, record)
                digests.update(digest.encode())
                n_items, n_shards = n_items + len(shard), number + 1
                self._tally.listed(len(shard))
                if not self._is_done(number, digest):
                    yield number
        if not n_items:
            raise InputError(_empty(self._source))
        if self._listing.file(n_shards).exists() or (record is not None and n_items != record.n_items):
            raise InputError(self._changes(n_shards, iter(()), record))
        found = (n_shards, n_items, digests.hexdigest())
        if record is None or found != (record.n_shards, record.n_items, record.sha256):
            self._listing.complete(
                n_shards=n_shards, n_items=n_items, skipped=self._source.skipped, sha256=digests.hexdigest()
            )
        self._tally.complete()

    def _kept(self, number: int, shard: list[Item], further: Iterator[list[Item]], record: ListingRecord | None) -> str:
        try:
            if record is not None and number >= record.n_shards:
                raise ListingDiffersError
            return self._listing.keep(number, shard, self._source.columns)
        except ListingDiffersError:
            now = itertools.chain(shard, itertools.chain.from_iterable(further))
            raise InputError(self._changes(number, now, record)) from None

    def _is_done(self, number: int, digest: str) -> bool:
        mark = done_mark(self._listing.folder, number, digest)
        if mark is not None:
            self._tally.done(mark.n_images, mark.n_flagged, mark.n_undecided, mark.n_errors)
        return mark is not None

    def _changes(self, number: int, now: Iterator[Item], record: ListingRecord | None) -> str:
        changes = SourceChanges(self._listing.following(number), now, was_complete=record is not None)
        return (
            f"the source is not what it was when {self._listing.folder} listed it: {changes.describe()}; "
            "put it back as it was, or audit it into another folder"
        )

    def _items(self) -> Generator[Item, None, None]:
        for item in self._source.items(self._checked):
            if self._is_closed.is_set():
                raise GivenUpError
            yield item

    def _checked(self) -> None:
        if self._is_closed.is_set():
            raise GivenUpError
        self._check()


def _empty(source: Source) -> str:
    skipped = ", ".join(f"{number} {suffix or 'without a suffix'}" for suffix, number in sorted(source.skipped.items()))
    passed = f"; passed over because they are no images: {skipped}" if skipped else ""
    return f"the source holds no images{passed}; give a folder, a glob, a manifest or an archive with some"
