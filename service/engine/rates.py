"""How much was done lately."""

from collections import deque

WINDOW_SECONDS = 10.0


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
