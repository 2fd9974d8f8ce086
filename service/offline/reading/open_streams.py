"""Containers that are read from front to back, kept open so that the next shard goes on where the last one ended."""

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from service.offline.items import Holder, Item
from service.offline.reading.parquet_stream import ParquetStream
from service.offline.reading.places import Place, open_place
from service.offline.reading.tar_stream import TarStream

MOST_IDLE = 4


class Stream(Protocol):
    """A container that is read from front to back."""

    @property
    def place(self) -> Place:
        """Where it is; closed with the stream."""
        ...

    @property
    def position(self) -> int:
        """Of the first image that can still be had without going back."""
        ...

    def read(self, item: Item) -> bytes:
        """The bytes of an image, not before `position`.

        Raises:
            InputError: they cannot be had.
            OSError: the disk or the network failed.
        """
        ...

    def close(self) -> None:
        """Let go of the container."""
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class _Idle:
    key: tuple[Holder, str]
    stream: Stream


class OpenStreams:
    """Streams for many readers at once; each has its own while it reads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Idle] = []
        self._is_closed = False

    @contextlib.contextmanager
    def borrowed(self, item: Item) -> Iterator[Stream]:
        """A stream that stands at or before an item of its container.

        Who breaks off between two images leaves it to the next reader.

        Raises:
            InputError: the container cannot be opened, or is damaged.
            OSError: the disk or the network failed.
        """
        key = (item.holder, item.container)
        stream = self._take(key, item.position) or _opened(*key, self._check)
        is_good = False
        try:
            yield stream
            is_good = True
        except GeneratorExit:
            # Whoever has all that it wanted does not ask for an end.
            is_good = True
            raise
        finally:
            self._put(_Idle(key, stream), is_good=is_good)

    def close(self) -> None:
        """Let go of those that nobody reads, and of the others as soon as nobody does."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
        for waiting in idle:
            waiting.stream.close()

    def _take(self, key: tuple[Holder, str], position: int) -> Stream | None:
        with self._lock:
            fitting = [idle for idle in self._idle if idle.key == key and idle.stream.position <= position]
            if not fitting:
                return None
            found = max(fitting, key=lambda idle: idle.stream.position)
            self._idle.remove(found)
        is_current = False
        try:
            is_current = not found.stream.place.has_changed()
        finally:
            if not is_current:
                found.stream.close()
        return found.stream if is_current else None

    def _put(self, idle: _Idle, *, is_good: bool) -> None:
        with self._lock:
            if is_good and not self._is_closed:
                self._idle.append(idle)
                surplus = self._idle.pop(0) if len(self._idle) > MOST_IDLE else None
            else:
                surplus = idle
        if surplus is not None:
            surplus.stream.close()

    def _check(self) -> None:
        if self._is_closed:
            raise RuntimeError("the reader is closed")


def _opened(holder: Holder, container: str, check: Callable[[], None]) -> Stream:
    place = open_place(container)
    try:
        return ParquetStream(place) if holder is Holder.PARQUET else TarStream(place, check)
    except BaseException:
        place.close()
        raise
