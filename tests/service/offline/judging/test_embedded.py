import threading

import pytest

from service.offline.judging.embedded import UNDER_WAY, EmbeddedEngine
from service.offline.work import JudgedShard, Shard, Tick


def unheard(tick) -> None:
    """Ticks that nobody waits for."""


class Worker:
    """Judges by giving back the number; counts how many shards are with it at once."""

    def __init__(self, failing: int | None = None) -> None:
        self.failing = failing
        self.is_closed = False
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()
        self.both_are_here = threading.Event()

    def judge(self, shard, on_tick):
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            if self._now == UNDER_WAY:
                self.both_are_here.set()
        self.both_are_here.wait(30)
        if shard.number == self.failing:
            raise OSError(28, "No space left on device")
        on_tick(Tick(shard=shard.number, n_images=3, n_flagged=1, n_errors=0))
        with self._lock:
            self._now -= 1
        return JudgedShard(number=shard.number, results=None, timings=None)

    def close(self) -> None:
        self.is_closed = True


def shards(n_shards: int, taken: list[int]):
    for number in range(n_shards):
        taken.append(number)
        yield Shard(number=number, items=[])


def test_every_shard_comes_back_once_and_its_ticks_before_it() -> None:
    engine, ticked, numbers = EmbeddedEngine(Worker()), [], []
    for judged in engine.judge(shards(7, []), lambda tick: ticked.append(tick.shard)):
        assert judged.number in ticked
        numbers.append(judged.number)
    assert sorted(numbers) == sorted(ticked) == list(range(7))
    engine.close()


def test_two_shards_are_under_way_and_no_more_are_taken() -> None:
    worker, taken = Worker(), []
    engine = EmbeddedEngine(worker)
    judged = engine.judge(shards(7, taken), unheard)
    next(judged)
    assert taken == [0, 1]
    next(judged)
    assert taken == [0, 1, 2]
    list(judged)
    assert worker.most == UNDER_WAY
    engine.close()


def test_what_fails_in_a_thread_is_raised_here() -> None:
    engine = EmbeddedEngine(Worker(failing=1))
    with pytest.raises(OSError, match="No space left"):
        list(engine.judge(shards(7, []), unheard))
    engine.close()


def test_without_shards_nothing_is_judged() -> None:
    engine = EmbeddedEngine(Worker())
    assert list(engine.judge(iter(()), unheard)) == []
    engine.close()


def test_the_worker_is_closed_with_the_engine() -> None:
    worker = Worker()
    EmbeddedEngine(worker).close()
    assert worker.is_closed
