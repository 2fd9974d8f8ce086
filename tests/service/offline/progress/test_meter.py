import pytest

from service.offline.folder.standing import Standing
from service.offline.progress.meter import WINDOW_SECONDS, ProgressMeter
from service.offline.work import JudgedShard, Tick


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Folder:
    standing = Standing(n_items=1000)

    def __call__(self) -> Standing:
        return self.standing


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder() -> Folder:
    return Folder()


@pytest.fixture
def meter(folder, clock) -> ProgressMeter:
    return ProgressMeter(folder, clock)


def tick(n_images: int, shard: int = 0) -> Tick:
    return Tick(shard=shard, n_images=n_images, n_flagged=2, n_errors=1)


def test_before_anything_is_judged_nothing_is_known_of_speed(meter, clock) -> None:
    clock.now += 10
    reading = meter.reading()
    assert (reading.n_done, reading.images_per_second, reading.seconds_left) == (0, None, None)


def test_images_of_unfinished_shards_count(meter, clock) -> None:
    clock.now += 4
    meter.tick(tick(30))
    meter.tick(tick(10, shard=1))
    reading = meter.reading()
    assert (reading.n_done, reading.n_flagged, reading.n_errors, reading.n_shards) == (40, 4, 2, 0)
    assert reading.images_per_second == 10


def test_a_shard_that_is_written_counts_once_and_never_twice(meter, folder) -> None:
    meter.tick(tick(30))
    during = []

    def write(shard) -> None:
        folder.standing = Standing(n_items=1000, n_done=30, n_shards_done=1, n_flagged=2, n_errors=1)
        during.append(meter.reading())

    meter.write(JudgedShard(number=0, results=None, timings=None), write)
    during.append(meter.reading())
    assert [(reading.n_done, reading.n_flagged) for reading in during] == [(30, 2)] * 2
    assert during[-1].n_shards == 1


def test_what_is_done_never_shrinks_while_the_next_shard_is_written(meter, folder) -> None:
    def write(shard) -> None:
        done = 30 * (1 + shard.number)
        folder.standing = Standing(n_items=1000, n_done=done, n_shards_done=1 + shard.number)
        during.append(meter.reading().n_done)

    during: list[int] = []
    for number in range(2):
        meter.tick(tick(30, shard=number))
    # Nobody asked between the first and the second.
    for number in range(2):
        meter.write(JudgedShard(number=number, results=None, timings=None), write)
    assert during == [60, 60]


def test_time_is_left_once_everything_is_listed(meter, folder, clock) -> None:
    clock.now += 10
    meter.tick(tick(100))
    assert meter.reading().seconds_left is None
    folder.standing = Standing(n_items=1000, is_complete=True)
    # 900 images at 10 a second.
    assert meter.reading().seconds_left == 90


def test_images_of_earlier_runs_are_done_but_do_not_count_as_speed(meter, folder, clock) -> None:
    folder.standing = Standing(n_items=1000, is_complete=True, n_done=500)
    clock.now += 10
    meter.tick(tick(100))
    reading = meter.reading()
    assert (reading.n_done, reading.images_per_second, reading.seconds_left) == (600, 10, 40)


def test_speed_is_that_of_the_last_minute(meter, clock) -> None:
    for _ in range(10):
        clock.now += WINDOW_SECONDS
        meter.tick(tick(60))
    for _ in range(3):
        clock.now += WINDOW_SECONDS / 2
        meter.tick(tick(300))
    assert meter.n_judged == 1500
    assert meter.reading().images_per_second == pytest.approx(10)


def test_a_device_that_stands_still_becomes_slower(meter, clock) -> None:
    clock.now += 1
    meter.tick(tick(100))
    clock.now += 99
    assert meter.reading().images_per_second == 1
