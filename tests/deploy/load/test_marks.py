import dataclasses

import pytest
from isthmus_load.figures import stage_figures
from isthmus_load.loops import Reply, Watch
from isthmus_load.marks import Limits, Verdict, marks_of, slow_client, verdict_of

GOOD = [Reply(status=200, seconds=5.0)] * 95 + [Reply(status=429, seconds=0.01)] * 95
WATCH = Watch(seconds=10.0, liveness=(0.01,) * 100, heartbeats=(0.001,) * 100, busy=0.2)


def marks(replies=GOOD, watch=WATCH, limits=None, idle_ms=1.0):
    figures = stage_figures(replies, watch, factor=2.0, capacity=10.0, answer_seconds=10.0, n_images=1)
    return marks_of(figures, limits or Limits(), idle_ms)


def missed(*arguments, **options):
    return [mark.what for mark in marks(*arguments, **options) if not mark.met]


def test_a_service_that_keeps_its_promises_passes():
    assert missed() == []
    assert verdict_of(marks(), []) is Verdict.PASSED


@pytest.mark.parametrize(
    ("replies", "what"),
    [
        (GOOD[10:], "goodput ÷ possible"),
        ([*GOOD, Reply(status=504, seconds=10.0)], "accepted but not answered in time"),
        ([*GOOD, Reply(status=200, seconds=10.1)], "accepted but not answered in time"),
        ([*GOOD, Reply(status=0, seconds=1.0)], "failed otherwise"),
        ([*GOOD, *[Reply(status=429, seconds=0.052)] * 10], "refused, 99 %, ms"),
    ],
)
def test_each_promise_that_is_broken_is_a_missed_mark(replies, what):
    assert missed(replies) == [what]
    assert verdict_of(marks(replies), []) is Verdict.FAILED


@pytest.mark.parametrize("slowest", [0.11, float("inf")])
def test_one_slow_answer_of_the_liveness_route_is_a_missed_mark(slowest):
    watch = dataclasses.replace(WATCH, liveness=(*WATCH.liveness, slowest))
    assert missed(watch=watch) == ["liveness, slowest, ms"]


def test_the_way_to_the_service_is_not_the_services_fault():
    watch = dataclasses.replace(WATCH, liveness=(*WATCH.liveness, 0.12))
    assert missed(watch=watch, idle_ms=30.0) == []


def test_where_nothing_was_refused_there_is_no_mark_for_it():
    assert [mark.what for mark in marks(GOOD[:95])][-1] == "liveness, slowest, ms"


@pytest.mark.parametrize(
    ("change", "replies"),
    [
        ({"heartbeats": (0.001,) * 50 + (0.03,) * 50}, GOOD),
        ({"busy": 0.95}, GOOD),
        ({}, [dataclasses.replace(reply, lag=0.04) for reply in GOOD]),
    ],
)
def test_a_client_that_is_too_slow_judges_nobody(change, replies):
    watch = dataclasses.replace(WATCH, **change)
    figures = stage_figures(replies, watch, factor=2.0, capacity=10.0, answer_seconds=10.0, n_images=1)
    reason = slow_client(figures["client"], Limits())
    assert reason is not None
    assert verdict_of(marks(replies, watch), [reason]) is Verdict.INCONCLUSIVE


def test_a_client_that_kept_its_schedule_may_judge():
    figures = stage_figures(GOOD, WATCH, factor=2.0, capacity=10.0, answer_seconds=10.0, n_images=1)
    assert slow_client(figures["client"], Limits()) is None
