"""Which shard goes to which worker, and what becomes of shards whose worker fails. Knows nothing of processes."""

import collections
from collections.abc import Iterator

from service.errors import EngineError, one_line
from service.offline.work import Shard

UNDER_WAY = 2
"""Shards that a worker has at a time: one on the device, and one that is read and decoded meanwhile."""

ATTEMPTS = 3
"""How often a shard may fail before it is given up."""


class Dispatch:
    """Hands out shards, as fast as they come back.

    When the process of a worker dies, any of the shards that it had may be the reason. So each of them is under
    suspicion and judged alone from then on: a shard that kills workers cannot take the good name of another one.

    Args:
        shards: taken only when there is a worker free to judge one.
    """

    def __init__(self, shards: Iterator[Shard], *, under_way: int = UNDER_WAY, attempts: int = ATTEMPTS) -> None:
        self._shards = shards
        self._is_exhausted = False
        self._under_way = under_way
        self._attempts = attempts
        self._workers: dict[int, dict[int, Shard]] = {}
        self._alone: set[int] = set()
        self._again: collections.deque[Shard] = collections.deque()
        self._suspects: collections.deque[Shard] = collections.deque()
        self._n_failures: collections.Counter[int] = collections.Counter()

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing left, neither to hand out nor to wait for."""
        is_waiting = bool(self._again or self._suspects or any(self._workers.values()))
        return self._is_exhausted and not is_waiting

    def joined(self, worker: int) -> None:
        """A worker is ready."""
        self._workers[worker] = {}

    def has(self, worker: int, number: int | None = None) -> bool:
        """Whether a worker is ready; with the number of a shard, whether it is judging that one."""
        shards = self._workers.get(worker)
        return shards is not None and (number is None or number in shards)

    def assign(self) -> tuple[int, Shard] | None:
        """Take the next shard for the worker that has least to do; None where no worker or no shard is left."""
        ready = [worker for worker in self._workers if worker not in self._alone]
        if not ready:
            return None
        worker = min(ready, key=lambda one: len(self._workers[one]))
        if self._suspects and not self._workers[worker]:
            self._alone.add(worker)
            shard: Shard | None = self._suspects.popleft()
        elif len(self._workers[worker]) < self._under_way:
            shard = self._again.popleft() if self._again else self._next()
        else:
            return None
        if shard is None:
            return None
        self._workers[worker][shard.number] = shard
        return worker, shard

    def done(self, worker: int, number: int) -> None:
        """A shard has come back whole."""
        del self._workers[worker][number]
        self._alone.discard(worker)
        self._n_failures.pop(number, None)

    def failed(self, worker: int, number: int, cause: Exception) -> None:
        """Judging a shard raised; its worker is given up, and what else that had is judged by another.

        Raises:
            EngineError: it was the last attempt.
            OSError: it was the last attempt, and the cause is one.
        """
        shards = self._leave(worker)
        self._blame(shards.pop(number), cause)
        self._again.extend(shards.values())

    def lost(self, worker: int, cause: Exception) -> None:
        """The process of a worker has died, or cannot be reached.

        Raises:
            EngineError: it was the last attempt of one of its shards.
        """
        for shard in self._leave(worker).values():
            self._blame(shard, cause)

    def _leave(self, worker: int) -> dict[int, Shard]:
        self._alone.discard(worker)
        return self._workers.pop(worker)

    def _blame(self, shard: Shard, cause: Exception) -> None:
        self._n_failures[shard.number] += 1
        if self._n_failures[shard.number] < self._attempts:
            self._suspects.append(shard)
            return
        if isinstance(cause, OSError):
            raise cause
        raise EngineError(
            f"shard {shard.number} ({len(shard.items)} images from {shard.items[0].path} to {shard.items[-1].path}) "
            f"failed {self._attempts} times, at last with: {one_line(cause)}; what is done stays done: find out which "
            "image it is, and go on with the same command"
        ) from cause

    def _next(self) -> Shard | None:
        if self._is_exhausted:
            return None
        shard = next(self._shards, None)
        self._is_exhausted = shard is None
        return shard
