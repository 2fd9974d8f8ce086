"""Who may come in: memory is bounded because every image of a waiting client has a place, or was refused at once."""

import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self

from service.engine.rates import RateMeter
from service.errors import OverloadedError, TooLargeError

LONGEST_RETRY_SECONDS = 60.0
SHORTEST_RETRY_SECONDS = 0.1
UNKNOWN_RETRY_SECONDS = 1.0

LARGEST_SHARE = 8
"""A key may hold so many times the places that are free: eight ninths if it is alone, so that another finds some.

A dynamic threshold (Choudhury and Hahne 1998): what it leaves free shrinks with the number of keys that want it.
"""


class Permits:
    """So many places for images, and no more than can be judged in time. Thread-safe.

    Args:
        worthwhile: how many images are judged, as things go, before those that come now have waited too long.
    """

    def __init__(
        self,
        capacity: int,
        *,
        worthwhile: Callable[[], float] = lambda: math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.capacity = capacity
        self._worthwhile = worthwhile
        self._clock = clock
        self._n_taken = 0
        self._by_key: Counter[str] = Counter()
        self._meter = RateMeter()
        self._changed = threading.Condition()

    @property
    def n_taken(self) -> int:
        return self._n_taken

    @property
    def n_free(self) -> int:
        return self.capacity - self._n_taken

    def take(self, n_images: int = 1, key_id: str | None = None) -> "Permit":
        """Places for so many images; a request takes up one at least.

        Args:
            key_id: whose share they count against; None where there are no keys.

        Raises:
            OverloadedError: there are not so many free ones, too many wait already, or the key holds its share.
            TooLargeError: there never will be.
        """
        n_images = max(1, n_images)
        self._occupy(n_images, n_images, key_id)
        return Permit(self, n_images, key_id)

    def wait_until_free(self, timeout: float) -> bool:
        """Wait until no place is taken; whether that came in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._n_taken == 0, timeout)

    def _occupy(self, n_more: int, n_in_all: int, key_id: str | None) -> None:
        if n_in_all > self.capacity:
            raise TooLargeError(
                f"{n_in_all} images came in one request, and {self.capacity} are taken at once; send fewer, or start "
                "an audit"
            )
        with self._changed:
            places = self._places(n_others=self._n_taken + n_more - n_in_all)
            if self._n_taken + n_more > places:
                raise self._overloaded(f"{self._n_taken} of {places} places are taken and {n_more} were asked for")
            if key_id is not None:
                n_own = self._by_key[key_id]
                # What a request holds alone is no flood, however large it is.
                if n_own > n_in_all - n_more and n_own + n_more > LARGEST_SHARE * (places - self._n_taken):
                    raise self._overloaded(f"this key holds {n_own} of {places} places, and others need the rest")
                self._by_key[key_id] += n_more
            self._n_taken += n_more

    def _overloaded(self, why: str) -> OverloadedError:
        return OverloadedError(f"{why}; try again later", retry_after=self._seconds_until_drained())

    def _places(self, n_others: int) -> int:
        """How many there are now; all of them for a request that is alone, since it waits for nobody else."""
        worthwhile = self._worthwhile() if n_others else math.inf
        return self.capacity if worthwhile >= self.capacity else int(worthwhile)

    def _vacate(self, n_images: int, key_id: str | None) -> None:
        with self._changed:
            self._n_taken -= n_images
            if key_id is not None:
                self._by_key[key_id] -= n_images
                if not self._by_key[key_id]:
                    del self._by_key[key_id]
            self._meter.add(n_images, self._clock())
            if self._n_taken == 0:
                self._changed.notify_all()

    def _seconds_until_drained(self) -> float:
        """When, as things go, everything that is in now will be out."""
        rate = self._meter.per_second(self._clock())
        if rate == 0:
            return UNKNOWN_RETRY_SECONDS
        return min(LONGEST_RETRY_SECONDS, max(SHORTEST_RETRY_SECONDS, self._n_taken / rate))


class Permit:
    """Places that are taken until it is released, once; a context manager that does so."""

    def __init__(self, permits: Permits, n_images: int, key_id: str | None) -> None:
        self._permits, self._key_id = permits, key_id
        self._lock = threading.Lock()
        self._n_images = n_images
        self._is_released = False

    @property
    def n_images(self) -> int:
        return self._n_images

    def grow(self, n_images: int) -> None:
        """Stand for so many images in all; never for fewer than before.

        Raises:
            OverloadedError: there are not so many free places; it stands for as many as before.
            TooLargeError: there never will be; likewise.
        """
        with self._lock:
            if self._is_released:
                raise ValueError("this permit was given back already; take another")
            if n_images > self._n_images:
                self._permits._occupy(n_images - self._n_images, n_images, self._key_id)
                self._n_images = n_images

    def release(self) -> None:
        """Give the places back; a second time nothing happens."""
        with self._lock:
            if self._is_released:
                return
            self._is_released = True
        self._permits._vacate(self._n_images, self._key_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
