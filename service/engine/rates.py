"""How much was done lately."""

import math
from collections import deque

WINDOW_SECONDS = 10.0

FORGETTING = 0.9
"""Share that the steps before have in the next pace: some ten of them count."""


class RateMeter:
    """A rate over the last seconds, from a handful of numbers. Not thread-safe."""

    def __init__(self) -> None:
        self._seconds: deque[tuple[int, int]] = deque()
        self._since: float | None = None

    def add(self, n: int, now: float) -> None:
        if self._since is None:
            self._since = now
        second = int(now)
        if self._seconds and self._seconds[-1][0] == second:
            n += self._seconds.pop()[1]
        self._seconds.append((second, n))
        self._forget(now)

    def per_second(self, now: float) -> float:
        """Over the window, or the time since the first that was counted where that is shorter; 0 without any."""
        self._forget(now)
        if self._since is None or not self._seconds:
            return 0.0
        # The second under way counts as a whole: a rate over a few milliseconds tells nothing.
        seconds = min(WINDOW_SECONDS, max(1.0, now - self._since))
        return sum(n for _, n in self._seconds) / seconds

    def _forget(self, now: float) -> None:
        while self._seconds and self._seconds[0][0] < now - WINDOW_SECONDS:
            self._seconds.popleft()


class Pace:
    """How long the device takes for an image, from the steps of late. One thread adds, any may ask."""

    def __init__(self) -> None:
        self._images = 0.0
        self._seconds = 0.0

    def add(self, n_images: int, seconds: float) -> None:
        self._images = FORGETTING * self._images + n_images
        self._seconds = FORGETTING * self._seconds + seconds

    def images_in(self, seconds: float) -> float:
        """How many images are judged in so long a time; without end as long as nothing is known."""
        return math.inf if self._seconds == 0 else seconds * self._images / self._seconds
