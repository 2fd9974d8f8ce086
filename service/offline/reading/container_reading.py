"""Images of one container after the other: members of archives, rows of Parquet files."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from service.errors import InputError
from service.offline.items import Item
from service.offline.reading.open_streams import OpenStreams
from service.offline.reading.places import Place, open_place
from service.offline.reading.refusals import CHANGED, CUT_OFF, too_large

Fetch = Callable[[Item], bytes | str]
ReadAll = Callable[[Sequence[Item], Fetch], Iterable[bytes | str]]


def read_members(items: Sequence[Item], n_bytes: int, read_all: ReadAll) -> Iterator[bytes | str]:
    """Read images of one plain tar archive, each from where it begins.

    Args:
        read_all: has every item fetched, in order, here or in threads.

    Raises:
        OSError: the disk or the network failed.
    """
    with contextlib.ExitStack() as opened:
        try:
            place = opened.enter_context(contextlib.closing(open_place(items[0].container)))
        except InputError as error:
            yield from [f"the archive: {error}"] * len(items)
            return
        yield from read_all(items, lambda item: _member(place, item, n_bytes))


def read_forward(items: Sequence[Item], n_bytes: int, streams: OpenStreams) -> Iterator[bytes | str]:
    """Read images of one container that is read from front to back.

    Raises:
        OSError: the disk or the network failed.
    """
    n_done = 0
    while n_done < len(items):
        try:
            with streams.borrowed(items[n_done]) as stream:
                for item in _rising(items[n_done:]):
                    answer = _answer(stream.place, item, n_bytes, stream.read)
                    n_done += 1
                    yield answer
        except InputError as error:
            # It cannot be opened at all.
            yield from [f"the container: {error}"] * (len(items) - n_done)
            return


def _rising(items: Sequence[Item]) -> Iterator[Item]:
    """Items as long as each is behind the one before."""
    last = -1
    for item in items:
        if item.position <= last:
            return
        last = item.position
        yield item


def _member(place: Place, item: Item, n_bytes: int) -> bytes | str:
    return _answer(place, item, n_bytes, lambda item: _whole(place, item))


def _whole(place: Place, item: Item) -> bytes:
    data = place.read_at(item.position, item.size or 0)
    if len(data) != item.size:
        raise InputError(CUT_OFF)
    return data


def _answer(place: Place, item: Item, n_bytes: int, read: Callable[[Item], bytes]) -> bytes | str:
    reason = CHANGED if place.stamp != item.stamp else _changed(place)
    if reason is not None:
        return reason
    if item.size is not None and item.size > n_bytes:
        return too_large(item.size, n_bytes)
    try:
        data = read(item)
    except InputError as error:
        # What was written while it was read may well look damaged.
        return _changed(place) or str(error)
    return _changed(place) or (data if len(data) <= n_bytes else too_large(len(data), n_bytes))


def _changed(place: Place) -> str | None:
    """Why a container is not any more what it was when it was opened; None where it is."""
    try:
        return CHANGED if place.has_changed() else None
    except InputError as error:
        return f"the container: {error}"
