"""Reads the encoded images of items, whatever holds them."""

import contextlib
import itertools
import os
import threading
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from service.audits.file_store import AuditFile
from service.audits.sources import read_file
from service.errors import InputError
from service.offline.items import Holder, Item
from service.offline.reading.container_reading import Fetch, read_forward, read_members
from service.offline.reading.open_streams import OpenStreams
from service.offline.reading.refusals import NOT_ALLOWED, too_large

if TYPE_CHECKING:
    from service.offline.reading.remote_reading import RemoteReader

ROOT = Path("/")
"""Containers are resolved when they are listed, so that no step to a file may be a link when it is read."""

FORWARD = frozenset({Holder.COMPRESSED_TAR, Holder.PARQUET})
"""Containers whose images cannot be had one by one."""


class ItemReader:
    """Reads images; one for a worker, whose shards then go on in the containers that the last ones left.

    Each call of `read` is by itself, in any thread.

    Args:
        allow_urls: whether anything that is not on this machine is read.
        n_bytes: of the largest image that is read.
    """

    def __init__(self, *, allow_urls: bool, n_bytes: int) -> None:
        self._allow_urls = allow_urls
        self._n_bytes = n_bytes
        self._streams = OpenStreams()
        self._lock = threading.Lock()
        self._remote: RemoteReader | None = None
        self._closed = threading.Event()

    def read(self, items: Sequence[Item]) -> Iterator[bytes | str]:
        """Read items in order, each when it is asked for; a text says why one cannot be read.

        Raises:
            OSError: the disk or the network failed; that is not the item's fault.
            RuntimeError: the reader was closed meanwhile.
        """
        try:
            for _, run in itertools.groupby(items, key=_run_of):
                with contextlib.closing(self._reading(list(run))) as answers:
                    for answer in answers:
                        self._check()
                        yield answer
        except Exception:
            # What was closed below may have failed in any way.
            self._check()
            raise

    def close(self) -> None:
        """Let go of everything that is open; whoever still reads gets a RuntimeError."""
        self._closed.set()
        self._streams.close()
        with self._lock:
            if self._remote is not None:
                self._remote.close()

    def _check(self) -> None:
        if self._closed.is_set():
            raise RuntimeError("the reader is closed")

    def _reading(self, items: Sequence[Item]) -> Generator[bytes | str, None, None]:
        """How a run of items is read: all refused, or all in one container, or all in files of their own."""
        first = items[0]
        if first.refused is not None:
            yield from (item.refused or "" for item in items)
        elif is_remote(first) and not self._allow_urls:
            yield from itertools.repeat(NOT_ALLOWED, len(items))
        elif first.holder in FORWARD:
            yield from read_forward(items, self._n_bytes, self._streams)
        elif first.holder is Holder.TAR:
            yield from read_members(items, self._n_bytes, self._remotely().read if is_remote(first) else _one_by_one)
        elif is_remote(first):
            yield from self._remotely().read(items)
        else:
            yield from _one_by_one(items, self._local_file)

    def _remotely(self) -> "RemoteReader":
        # Audits of this machine's files need no fsspec.
        from service.offline.reading.remote_reading import RemoteReader  # noqa: PLC0415

        with self._lock:
            if self._remote is None:
                self._remote = RemoteReader(self._n_bytes)
            return self._remote

    def _local_file(self, item: Item) -> bytes | str:
        try:
            size, changed_ns = _as_listed(item)
            if size > self._n_bytes:
                return too_large(size, self._n_bytes)
            file = AuditFile(name=item.path, place=os.fsencode(item.container), size=size, changed_ns=changed_ns)
            return read_file(file, [ROOT], size)
        except InputError as error:
            return str(error)


def is_remote(item: Item) -> bool:
    """Whether its container is a URL and not the path of a file."""
    return not item.container.startswith("/")


def _one_by_one(items: Sequence[Item], fetch: Fetch) -> Iterator[bytes | str]:
    return map(fetch, items)


def _as_listed(item: Item) -> tuple[int, int]:
    """Size and stamp of a file; as it is now, where the listing does not know."""
    if item.size is not None and item.stamp:
        return item.size, int(item.stamp)
    try:
        status = os.lstat(item.container)
    except OSError as error:
        raise InputError(f"the file cannot be read ({error.strerror})") from error
    return status.st_size, status.st_mtime_ns


def _run_of(item: Item) -> tuple[bool, Holder, str]:
    """Items of one run are read together."""
    if item.holder is not Holder.FILE:
        return item.refused is not None, item.holder, item.container
    return item.refused is not None, item.holder, "remote" if is_remote(item) else ""
