import math

import pytest
from isthmus_load.figures import codes, measured_capacity, quantile, quantiles, stage_figures
from isthmus_load.loops import Reply, Watch


def watch(*, seconds=10.0, liveness=(0.002,), heartbeats=(0.001,), busy=0.1):
    return Watch(seconds=seconds, liveness=liveness, heartbeats=heartbeats, busy=busy)


def stage(replies, **settings):
    defaults = {"factor": 2.0, "capacity": 10.0, "answer_seconds": 10.0, "n_images": 1}
    return stage_figures(replies, settings.pop("watch", watch()), **(defaults | settings))


def test_a_quantile_is_a_value_that_was_seen():
    assert quantile([3, 1, 2], 0.5) == 2
    assert quantile(range(100), 0.99) == 99
    assert math.isnan(quantile([], 0.5))


def test_a_time_without_end_and_no_time_at_all_are_none():
    assert quantiles([0.1, math.inf]) == {"n": 2, "p50_ms": None, "p90_ms": None, "p99_ms": None, "max_ms": None}
    assert quantiles([])["p50_ms"] is None
    assert quantiles([0.25])["p50_ms"] == 250


def test_capacity_counts_images_that_were_judged():
    replies = [Reply(status=200, seconds=0.1)] * 30 + [Reply(status=429, seconds=0.1)] * 5
    capacity = measured_capacity(replies, watch(), n_clients=4, n_images=2)
    assert capacity.images_per_second == 6
    assert capacity.measured["codes"] == {"200": 30, "429": 5}


def test_goodput_is_what_was_answered_in_time():
    replies = [Reply(status=200, seconds=1.0)] * 90 + [Reply(status=200, seconds=10.5)] * 4
    replies += [Reply(status=504, seconds=10.0)] * 3 + [Reply(status=429, seconds=0.01)] * 100
    figures = stage(replies)
    assert figures["goodput_images_per_second"] == 9
    assert figures["goodput_share_of_capacity"] == 0.9
    assert figures["late"] == 7
    assert figures["failed"] == 0
    assert figures["codes"] == {"200": 94, "429": 100, "504": 3}
    assert figures["refused"]["p99_ms"] == pytest.approx(10)


def test_below_capacity_what_was_offered_is_what_is_possible():
    figures = stage([Reply(status=200, seconds=0.1)] * 50, factor=0.5)
    assert figures["goodput_share_of_capacity"] == 0.5
    assert figures["goodput_share_of_possible"] == 1


def test_what_this_client_sent_late_is_no_late_answer():
    figures = stage([Reply(status=200, seconds=11, lag=2), Reply(status=200, seconds=11, lag=0.5)])
    assert figures["late"] == 1
    assert figures["client"]["lag"]["max_ms"] == 2000


def test_connections_that_broke_and_other_codes_are_failures():
    replies = [Reply(status=status, seconds=1) for status in (-1, 0, 500, 503, 400, 200)]
    assert stage(replies)["failed"] == 5
    assert codes(replies) == {"nobody": 1, "broken": 1, "200": 1, "400": 1, "500": 1, "503": 1}


def test_images_of_one_request_count_each():
    figures = stage([Reply(status=200, seconds=1)] * 20, n_images=4)
    assert (figures["images"], figures["goodput_images_per_second"]) == (80, 8)
