"""Judges shards in this process."""

import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from service.offline.judging.worker import ShardWorker
from service.offline.work import JudgedShard, Shard, Tick

UNDER_WAY = 2
"""Shards: one that is on the device, and one that is read and decoded meanwhile."""


class EmbeddedEngine:
    """One worker, two shards at a time; see `service.offline.work.Engine`.

    Args:
        worker: closed with the engine.
    """

    def __init__(self, worker: ShardWorker) -> None:
        self._worker = worker
        self._threads = ThreadPoolExecutor(UNDER_WAY, thread_name_prefix="shard")
        self._events: queue.SimpleQueue[Tick | JudgedShard | BaseException] = queue.SimpleQueue()

    def judge(self, shards: Iterator[Shard], on_tick: Callable[[Tick], None]) -> Iterator[JudgedShard]:
        """Judge shards; they come back as they are done."""
        n_under_way = 0
        is_more = True
        while is_more or n_under_way:
            while is_more and n_under_way < UNDER_WAY:
                shard = next(shards, None)
                is_more = shard is not None
                if shard is not None:
                    self._threads.submit(self._judge, shard)
                    n_under_way += 1
            if n_under_way:
                event = self._events.get()
                if isinstance(event, Tick):
                    on_tick(event)
                elif isinstance(event, JudgedShard):
                    n_under_way -= 1
                    yield event
                else:
                    raise event

    def close(self) -> None:
        """Give up what is under way."""
        self._worker.close()
        self._threads.shutdown(cancel_futures=True)

    def _judge(self, shard: Shard) -> None:
        try:
            self._events.put(self._worker.judge(shard, self._events.put))
        except BaseException as error:
            self._events.put(error)
