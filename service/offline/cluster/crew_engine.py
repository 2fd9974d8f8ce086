"""An engine whose workers may die."""

import itertools
import logging
from collections.abc import Callable, Iterator

from detector.types import DetectorError
from models.errors import ModelError
from service.errors import EngineError, InputError, one_line
from service.offline.cluster.crew import Counted, Crew, Event, Failed, Joined, Judged, Lost
from service.offline.cluster.dispatch import Dispatch
from service.offline.cluster.tick_ledger import TickLedger
from service.offline.work import JudgedShard, Shard, Tick

STARTS = 3
"""How often in a row the start of a worker may fail."""

USER_ERRORS = (InputError, DetectorError, ModelError)
"""What another worker would raise as well, and the user can put right."""

logger = logging.getLogger(__name__)


class CrewEngine:
    """Has shards judged by a crew; see `service.offline.work.Engine`.

    A worker that dies is replaced, and its shards are judged again; see `Dispatch` for how often. Workers are started
    when there is a first shard, so that an audit with nothing left to do starts none.
    """

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._numbers = itertools.count()
        self._failed_starts: dict[int, int] = {}
        """Of workers that are being started: how often in a row that has failed."""

    def judge(self, shards: Iterator[Shard], on_tick: Callable[[Tick], None]) -> Iterator[JudgedShard]:
        """Judge shards; they come back as they are done.

        Raises:
            InputError, DetectorError, ModelError: a worker cannot have the detector.
            EngineError: a shard, or the start of a worker, failed again and again.
            OSError: the disk or the network of workers failed, again and again.
        """
        first = next(shards, None)
        if first is None:
            return
        dispatch, ledger = Dispatch(itertools.chain([first], shards)), TickLedger(on_tick)
        for _ in range(self._crew.start()):
            self._hire(0)
        while True:
            while (assigned := dispatch.assign()) is not None:
                self._crew.submit(*assigned)
            if dispatch.is_finished:
                return
            for event in self._crew.events():
                if isinstance(event, Judged):
                    if dispatch.has(event.worker, event.shard.number):
                        dispatch.done(event.worker, event.shard.number)
                        ledger.done(event.total)
                        yield event.shard
                elif isinstance(event, Counted):
                    for so_far in event.so_far:
                        if dispatch.has(event.worker, so_far.shard):
                            ledger.counted(so_far)
                else:
                    self._staffed(dispatch, event)

    def close(self) -> None:
        """End the workers; what is under way is given up."""
        self._crew.close()

    def _hire(self, n_failed_starts: int) -> None:
        worker = next(self._numbers)
        self._failed_starts[worker] = n_failed_starts
        self._crew.hire(worker)

    def _staffed(self, dispatch: Dispatch, event: Joined | Failed | Lost) -> None:
        """A worker has come or gone."""
        is_starting = event.worker in self._failed_starts
        if isinstance(event, Joined):
            if is_starting:
                del self._failed_starts[event.worker]
                dispatch.joined(event.worker)
                logger.info("worker %d is ready on %s", event.worker, event.place)
            return
        if not is_starting and not dispatch.has(event.worker):
            # Several calls of a lost worker fail, one after the other.
            return
        if isinstance(event, Failed) and isinstance(event.cause, USER_ERRORS):
            raise event.cause
        logger.warning("worker %d was lost and is replaced: %s", event.worker, one_line(event.cause))
        self._crew.dismiss(event.worker)
        if is_starting:
            self._hire(self._one_more(event))
            return
        if isinstance(event, Failed) and event.shard is not None:
            dispatch.failed(event.worker, event.shard, event.cause)
        else:
            dispatch.lost(event.worker, event.cause)
        self._hire(0)

    def _one_more(self, event: Event) -> int:
        n_failed = self._failed_starts.pop(event.worker) + 1
        if n_failed == STARTS:
            cause = event.cause if isinstance(event, Failed | Lost) else None
            raise EngineError(
                f"a worker could not be started, {STARTS} times in a row, at last with: "
                f"{one_line(cause) if cause else 'no reason'}; what is done stays done: go on with the same command"
            ) from cause
        return n_failed
