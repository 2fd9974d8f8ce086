"""Images behind URLs, several at a time and some ahead of whoever takes them."""

import collections
import errno
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from service.errors import InputError
from service.offline.items import Item
from service.offline.reading.refusals import CHANGED, too_large
from service.offline.reading.remote_places import opened_web, probe, read_at_most
from service.offline.reading.urls import (
    WEB,
    ForbiddenError,
    UnreachableError,
    checked_url,
    filesystem_of,
    patiently,
    protocol_of,
    shown_name,
)

AHEAD_BYTES = 64 * 2**20
"""Of images that are asked for before they are wanted."""

N_AT_ONCE = 16

Fetch = Callable[[Item], bytes | str]

UNKNOWN_BYTES = AHEAD_BYTES // N_AT_ONCE
"""As what an image counts whose size is not known before."""


class RemoteReader:
    """Reads whole files behind URLs.

    A server that fails again and again ends the audit, to be resumed when it is back. Only on the web, where a list of
    URLs names many servers and some of them are gone for good, it is a matter of the one image, if a URL that answered
    before still does.

    Args:
        n_bytes: of the largest image that is read.
    """

    def __init__(self, n_bytes: int) -> None:
        self._n_bytes = n_bytes
        self._threads = ThreadPoolExecutor(N_AT_ONCE, thread_name_prefix="remote")
        self._closed = threading.Event()
        self._answered: str | None = None
        self._stored_answered: str | None = None

    def read(self, items: Sequence[Item], fetch: Fetch | None = None) -> Iterator[bytes | str]:
        """See `service.offline.reading.item_reader.ItemReader`.

        Args:
            fetch: reads one item, in any thread; by default the whole file.
        """
        waiting: collections.deque[tuple[int, Item, Future[bytes | str]]] = collections.deque()
        n_ahead = 0
        try:
            for item in items:
                cost = min(item.size, self._n_bytes) if item.size is not None else UNKNOWN_BYTES
                while waiting and (n_ahead + cost > AHEAD_BYTES or len(waiting) >= 2 * N_AT_ONCE):
                    n_ahead -= waiting[0][0]
                    yield self._next(waiting)
                waiting.append((cost, item, self._threads.submit(fetch or self._file, item)))
                n_ahead += cost
            while waiting:
                yield self._next(waiting)
        finally:
            for *_, future in waiting:
                future.cancel()

    def close(self) -> None:
        """Give up what has not begun."""
        self._closed.set()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _next(self, waiting: collections.deque[tuple[int, Item, Future[bytes | str]]]) -> bytes | str:
        _, item, future = waiting.popleft()
        try:
            return future.result()
        except UnreachableError as error:
            if error.errno == errno.EACCES or protocol_of(item.container) not in WEB or self._closed.is_set():
                raise
            # At the beginning nothing has answered yet, and one of those under way may.
            wait([future for *_, future in waiting])
            if not self._network_works():
                raise
            return f"its server cannot be reached: {error.strerror}"

    def _file(self, item: Item) -> bytes | str:
        if item.size is not None and item.size > self._n_bytes:
            return too_large(item.size, self._n_bytes)
        try:
            url = checked_url(item.container)
            data = self._asked(url) if protocol_of(url) in WEB else self._stored(url, item.size)
        except ForbiddenError as error:
            self._require_permission(url, error)
            return str(error)
        except InputError as error:
            return str(error)
        if len(data) > self._n_bytes:
            return too_large(len(data), self._n_bytes)
        if item.size is not None and len(data) != item.size:
            return CHANGED
        return data

    def _asked(self, url: str) -> bytes:
        filesystem = filesystem_of(url)
        data = patiently(lambda: self._downloaded(filesystem, url), url, self._closed.wait)
        self._answered = url
        return data

    def _downloaded(self, filesystem: Any, url: str) -> bytes:
        """One byte more than may be decoded at most, whatever the server says of its size."""
        with opened_web(filesystem, url) as answer:
            announced = answer.r.headers.get("Content-Length", "")
            if announced.isdigit() and int(announced) > self._n_bytes:
                raise InputError(too_large(int(announced), self._n_bytes))
            return read_at_most(answer, self._n_bytes + 1)

    def _stored(self, url: str, size: int | None) -> bytes:
        # A store gives all of an object at once, however large it is.
        size = probe(url).size if size is None else size
        if size is not None and size > self._n_bytes:
            raise InputError(too_large(size, self._n_bytes))
        filesystem = filesystem_of(url)
        data: bytes = patiently(lambda: filesystem.cat_file(url), url, self._closed.wait)
        self._stored_answered = url
        return data

    def _require_permission(self, url: str, refusal: ForbiddenError) -> None:
        """Where what could be read before cannot be any more, credentials have run out, and no image is to blame."""
        before = self._answered if protocol_of(url) in WEB else self._stored_answered
        if before is None:
            return
        try:
            probe(before)
        except ForbiddenError:
            reason = f"{refusal}, nor what it permitted before: credentials may have run out; renew them"
            raise UnreachableError(errno.EACCES, f"{shown_name(url)}: {reason}") from refusal
        except InputError:
            return

    def _network_works(self) -> bool:
        if self._answered is None:
            return False
        try:
            probe(self._answered)
        except InputError:
            return True
        except OSError:
            return False
        return True
