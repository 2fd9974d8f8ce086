from types import SimpleNamespace

import pytest

from service.engine.fair_queue import FairQueue
from service.engine.schedule import Schedule
from service.engine.work import Lane


class Hands(dict):
    """What each bundle has in hand: a set of lanes."""

    def hold(self, **lanes):
        for name, held in lanes.items():
            self[name] = SimpleNamespace(is_idle=not held, lanes=lambda held=held: set(held))
        return self


@pytest.fixture
def queue():
    return FairQueue()


def test_nothing_to_do_is_no_turn(queue):
    assert Schedule(queue, Hands().hold(a=[], b=[]), 4).next() is None


def test_one_step_in_so_many_is_the_backgrounds(queue, tools):
    queue.add(tools.make_job(100))
    queue.add(tools.make_job(100, lane=Lane.BACKGROUND, bundle="b"))
    schedule = Schedule(queue, Hands(), 4)
    assert [schedule.next().destination for _ in range(12)] == ["a", "a", "a", "b"] * 3


def test_the_background_has_every_step_that_nobody_else_wants(queue, tools):
    queue.add(tools.make_job(100, lane=Lane.BACKGROUND))
    schedule = Schedule(queue, Hands(), 4)
    assert [schedule.next().lane for _ in range(3)] == [Lane.BACKGROUND] * 3


def test_a_background_that_had_nothing_to_do_has_no_step_saved_up(queue, tools):
    queue.add(tools.make_job(100))
    schedule = Schedule(queue, Hands(), 4)
    for _ in range(10):
        schedule.next()
    queue.add(tools.make_job(100, lane=Lane.BACKGROUND, bundle="b"))
    assert [schedule.next().destination for _ in range(4)] == ["a", "a", "a", "b"]


def test_bundles_with_images_in_hand_take_turns_with_what_waits(queue, tools):
    queue.add(tools.make_job(100, bundle="c"))
    schedule = Schedule(queue, Hands().hold(a=[Lane.INTERACTIVE], b=[Lane.INTERACTIVE], c=[]), 4)
    assert [schedule.next().destination for _ in range(6)] == ["a", "b", "c"] * 2


def test_images_in_hand_for_nobody_in_particular_wait_for_clients(queue):
    hands = Hands().hold(a=[Lane.BACKGROUND], b=[Lane.INTERACTIVE])
    schedule = Schedule(queue, hands, 3)
    assert [schedule.next().destination for _ in range(6)] == ["b", "b", "a"] * 2
