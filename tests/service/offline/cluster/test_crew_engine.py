import collections
from collections.abc import Callable

import pyarrow as pa
import pytest

from service.errors import EngineError, InputError
from service.offline.cluster.crew import Counted, Event, Failed, Joined, Judged, Lost
from service.offline.cluster.crew_engine import CrewEngine
from service.offline.items import Item
from service.offline.work import JudgedShard, Shard, Tick


class DeadError(Exception):
    """Stands for the death of a worker's process."""


DIED = DeadError("the process died")


class PaperCrew:
    """Answers one call after the other: `opens(worker)` and `judges(worker, shard)` give an exception or None."""

    def __init__(
        self,
        n_workers: int,
        *,
        opens: Callable[[int], Exception | None] = lambda _worker: None,
        judges: Callable[[int, int], Exception | None] = lambda _worker, _shard: None,
    ) -> None:
        self.n_workers, self.opens, self.judges = n_workers, opens, judges
        self.log: list[tuple[object, ...]] = []
        self.calls: collections.deque[tuple[int, Shard | None]] = collections.deque()
        self.most_under_way = 0
        self.is_closed = False

    def start(self) -> int:
        self.log.append(("start",))
        return self.n_workers

    def hire(self, worker: int) -> None:
        self.log.append(("hire", worker))
        self.calls.append((worker, None))

    def submit(self, worker: int, shard: Shard) -> None:
        self.log.append(("submit", worker, shard.number))
        self.calls.append((worker, shard))
        self.most_under_way = max(self.most_under_way, sum(call[1] is not None for call in self.calls))

    def dismiss(self, worker: int) -> None:
        self.log.append(("dismiss", worker))
        self.calls = collections.deque(call for call in self.calls if call[0] != worker)

    def close(self) -> None:
        self.is_closed = True

    def events(self) -> list[Event]:
        worker, shard = self.calls.popleft()
        error = self.opens(worker) if shard is None else self.judges(worker, shard.number)
        if isinstance(error, DeadError):
            # Every call of a dead process fails, at the same time.
            n_others = sum(call[0] == worker for call in self.calls)
            return [Lost(worker=worker, cause=error)] * (1 + n_others)
        if error is not None:
            return [Failed(worker=worker, shard=None if shard is None else shard.number, cause=error)]
        if shard is None:
            return [Joined(worker=worker, place="paper")]
        half = Tick(shard=shard.number, n_images=1, n_flagged=0, n_errors=0)
        total = Tick(shard=shard.number, n_images=2, n_flagged=1, n_errors=0)
        table = pa.table({"path": [f"{shard.number}"]})
        judged = JudgedShard(number=shard.number, results=table, timings=table)
        # What a worker says of a shard that is back already counts no more.
        late = Counted(worker=worker, so_far=[total])
        return [Counted(worker=worker, so_far=[half]), Judged(worker=worker, shard=judged, total=total), late]


def shards_of(n_shards: int) -> list[Shard]:
    return [Shard(number=number, items=[Item(path="a.png"), Item(path="b.png")]) for number in range(n_shards)]


def judged(crew: PaperCrew, n_shards: int) -> tuple[list[int], list[Tick]]:
    """Numbers of the shards that come back, and the ticks."""
    ticks: list[Tick] = []
    return [shard.number for shard in CrewEngine(crew).judge(iter(shards_of(n_shards)), ticks.append)], ticks


def test_every_shard_comes_back_once_and_every_image_is_counted_once() -> None:
    crew = PaperCrew(3)
    numbers, ticks = judged(crew, 20)
    assert sorted(numbers) == list(range(20))
    assert (sum(tick.n_images for tick in ticks), sum(tick.n_flagged for tick in ticks)) == (40, 20)
    assert {entry[1] for entry in crew.log if entry[0] == "submit"} == {0, 1, 2}
    assert crew.most_under_way <= 6


def test_no_worker_is_started_where_nothing_is_left_to_do() -> None:
    crew = PaperCrew(3)
    assert judged(crew, 0) == ([], [])
    assert crew.log == []


def test_a_worker_that_dies_is_replaced_and_nothing_is_lost_or_repeated(caplog) -> None:
    deaths = [(0, 4)]
    crew = PaperCrew(2, judges=lambda worker, shard: DIED if (worker, shard) in deaths else None)
    numbers, ticks = judged(crew, 12)
    assert sorted(numbers) == list(range(12))
    assert sum(tick.n_images for tick in ticks) == 24
    assert [entry for entry in crew.log if entry[0] in ("hire", "dismiss")] == [
        ("hire", 0),
        ("hire", 1),
        ("dismiss", 0),
        ("hire", 2),
    ]
    assert "worker 0 was lost and is replaced: the process died" in caplog.text


def test_a_shard_that_kills_every_worker_ends_the_audit_by_its_name_and_the_others_come_back() -> None:
    crew = PaperCrew(2, judges=lambda _, shard: DIED if shard == 3 else None)
    numbers: list[int] = []
    with pytest.raises(EngineError, match=r"shard 3 \(2 images from a\.png to b\.png\) failed 3 times"):
        numbers.extend(shard.number for shard in CrewEngine(crew).judge(iter(shards_of(8)), lambda _tick: None))
    assert sum(entry[0] == "hire" for entry in crew.log) == 2 + 2


def test_a_shard_that_raises_once_is_judged_again_by_another_worker() -> None:
    failures = [EngineError("the device failed")]
    crew = PaperCrew(1, judges=lambda _, shard: failures.pop() if shard == 1 and failures else None)
    numbers, _ = judged(crew, 4)
    assert sorted(numbers) == [0, 1, 2, 3]
    assert [entry[1] for entry in crew.log if entry[0] == "submit" and entry[2] == 1] == [0, 1]


def test_what_the_user_can_put_right_is_raised_as_it_is_and_at_once() -> None:
    wrong = InputError("the bundle is another one here")
    crew = PaperCrew(2, opens=lambda _worker: wrong)
    with pytest.raises(InputError, match="another one") as raised:
        judged(crew, 4)
    assert raised.value is wrong
    assert sum(entry[0] == "hire" for entry in crew.log) == 2
    with pytest.raises(InputError, match="another one"):
        judged(PaperCrew(1, judges=lambda _worker, _shard: wrong), 4)


def test_a_worker_that_cannot_be_started_is_given_up_after_three_times() -> None:
    crew = PaperCrew(1, opens=lambda _worker: DIED)
    with pytest.raises(EngineError, match="could not be started, 3 times in a row, at last with: the process died"):
        judged(crew, 4)
    assert [entry for entry in crew.log if entry[0] == "hire"] == [("hire", 0), ("hire", 1), ("hire", 2)]


def test_starts_that_fail_at_different_places_do_not_add_up() -> None:
    crew = PaperCrew(4, opens=lambda worker: DIED if worker < 4 else None)
    numbers, _ = judged(crew, 4)
    assert sorted(numbers) == [0, 1, 2, 3]
    assert sum(entry[0] == "hire" for entry in crew.log) == 8


def test_closing_ends_the_crew() -> None:
    crew = PaperCrew(1)
    CrewEngine(crew).close()
    assert crew.is_closed
