from collections import Counter

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from service.engine.fair_queue import FairQueue
from service.engine.jobs import ImageJob
from service.engine.work import Ask, Lane, Priority


def job(n_images=1, *, cost=1.0, **options):
    fields = {"bundle": "a", "request_id": "r", "deadline": 1e9, "false_positive_rate": 0.05} | options
    return ImageJob(Ask(images=torch.zeros(n_images, 1, 1, 1, dtype=torch.uint8), **fields), cost=cost)


def queue_of(*jobs):
    queue = FairQueue()
    for one in jobs:
        queue.add(one)
    return queue


def take(queue, n_images, *, bundle="a", first=Lane.INTERACTIVE, now=0.0):
    taken = queue.take(bundle, n_images, first=first, now=now)
    return [(part.job, part.start, part.stop) for part in taken.parts]


def images_by_key(parts):
    counts = Counter()
    for one, start, stop in parts:
        counts[one.key_id] += stop - start
    return dict(counts)


def test_keys_share_a_step_whatever_they_have_waiting():
    queue = queue_of(job(100, key_id="x"), job(100, key_id="y"), job(1, key_id="z"))
    assert images_by_key(take(queue, 9)) == {"x": 4, "y": 4, "z": 1}


def test_a_key_that_splits_its_images_over_many_asks_gets_no_more():
    queue = queue_of(*(job(1, key_id="x") for _ in range(50)), job(50, key_id="y"))
    assert images_by_key(take(queue, 10)) == {"x": 5, "y": 5}


def test_a_key_that_was_idle_has_no_credit():
    queue = queue_of(job(100, key_id="x"), job(1, key_id="y"))
    take(queue, 21)
    queue.add(job(100, key_id="y"))
    assert images_by_key(take(queue, 20)) == {"x": 10, "y": 10}


def test_a_key_that_comes_back_at_once_is_not_served_twice_as_often():
    queue = queue_of(job(100, key_id="x"), job(100, key_id="y"))
    first_y = next(one for one, _, _ in take(queue, 2) if one.key_id == "y")
    queue.remove(first_y)
    queue.add(job(100, key_id="y"))
    assert images_by_key(take(queue, 2)) == {"x": 1, "y": 1}


def test_an_image_that_takes_up_more_of_a_step_counts_more():
    queue = queue_of(job(100, key_id="x", cost=0.5), job(100, key_id="y", cost=0.25))
    assert images_by_key(take(queue, 30)) == {"x": 10, "y": 20}


def test_one_keys_asks_go_by_priority_and_then_by_arrival():
    low, first, second, high = job(priority=Priority.LOW), job(), job(), job(priority=Priority.HIGH)
    queue = queue_of(low, first, second, high)
    assert [one for one, _, _ in take(queue, 4)] == [high, first, second, low]


def test_priority_gives_nothing_over_another_key():
    queue = queue_of(job(10, key_id="x", priority=Priority.HIGH), job(10, key_id="y", priority=Priority.LOW))
    assert images_by_key(take(queue, 4)) == {"x": 2, "y": 2}


def test_an_ask_is_taken_in_parts_that_follow_each_other():
    one = job(5)
    queue = queue_of(one)
    assert [take(queue, 2), take(queue, 2), take(queue, 2)] == [[(one, 0, 2)], [(one, 2, 4)], [(one, 4, 5)]]
    assert queue.n_images == 0
    assert take(queue, 2) == []


def test_only_the_bundle_that_steps_is_taken_from():
    of_a, of_b = job(2), job(2, bundle="b")
    queue = queue_of(of_a, of_b)
    assert take(queue, 4, bundle="b") == [(of_b, 0, 2)]
    assert queue.first(Lane.INTERACTIVE) == "a"


def test_what_comes_first_is_the_first_ask_of_the_key_that_is_furthest_behind():
    queue = queue_of(job(4, key_id="x"), job(4, key_id="y", bundle="b"))
    take(queue, 1)
    assert queue.first(Lane.INTERACTIVE) == "b"


def test_clients_go_before_the_background_which_fills_the_rest_of_a_step():
    background, interactive = job(10, lane=Lane.BACKGROUND), job(3)
    assert take(queue_of(background, interactive), 5) == [(interactive, 0, 3), (background, 0, 2)]


def test_the_background_goes_first_when_it_is_its_turn():
    background, interactive = job(2, lane=Lane.BACKGROUND), job(3)
    assert take(queue_of(interactive, background), 4, first=Lane.BACKGROUND) == [
        (background, 0, 2),
        (interactive, 0, 2),
    ]


def test_whoever_has_gone_is_not_taken():
    gone, there = job(3), job(3)
    queue = queue_of(gone, there)
    take(queue, 1)
    queue.remove(gone)
    queue.remove(gone)
    assert queue.n_images == 3
    assert take(queue, 6) == [(there, 0, 3)]


def test_whoever_is_late_is_not_taken_but_named():
    late, there = job(3, deadline=5.0), job(3)
    queue = queue_of(late, there)
    taken = queue.take("a", 6, first=Lane.INTERACTIVE, now=5.0)
    assert taken.late == [late]
    assert [part.job for part in taken.parts] == [there]
    assert queue.n_images == 0


def test_nothing_waits_in_an_empty_queue():
    assert FairQueue().first(Lane.INTERACTIVE) is None
    assert take(FairQueue(), 3) == []


jobs = st.builds(
    job,
    st.integers(1, 9),
    cost=st.sampled_from([0.25, 1.0]),
    key_id=st.sampled_from("xyz"),
    bundle=st.sampled_from("ab"),
    lane=st.sampled_from(Lane),
    priority=st.sampled_from(Priority),
    deadline=st.sampled_from([3.0, 1e9]),
)
acts = st.lists(
    st.one_of(
        st.tuples(st.just("add"), jobs),
        st.tuples(st.just("remove"), st.integers(0, 30)),
        st.tuples(st.just("take"), st.integers(0, 12), st.sampled_from("ab"), st.sampled_from(Lane)),
    ),
    max_size=40,
)


@given(acts=acts, now=st.sampled_from([0.0, 3.0]))
@settings(max_examples=150)
def test_every_image_is_given_out_once_or_taken_back(acts, now):
    queue, given_out, left = FairQueue(), Counter(), {}
    for act in acts:
        if act[0] == "add":
            queue.add(act[1])
            left[act[1]] = act[1].n_images
        elif act[0] == "remove" and left:
            one = list(left)[act[1] % len(left)]
            queue.remove(one)
            del left[one]
        elif act[0] == "take":
            taken = queue.take(act[2], act[1], first=act[3], now=now)
            assert sum(part.stop - part.start for part in taken.parts) == min(
                act[1], sum(n for one, n in left.items() if one.destination == act[2] and one.deadline > now)
            )
            for part in taken.parts:
                assert part.job.deadline > now
                given_out.update((id(part.job), index) for index in range(part.start, part.stop))
                left[part.job] -= part.stop - part.start
            left = {one: n for one, n in left.items() if n and one not in taken.late}
        assert queue.n_images == sum(left.values())
    assert all(count == 1 for count in given_out.values())


@given(sizes=st.lists(st.integers(1, 20), min_size=1, max_size=60))
@settings(max_examples=60)
def test_two_keys_that_always_wait_are_never_more_than_an_image_apart(sizes):
    queue, served = queue_of(job(2000, key_id="x"), job(2000, key_id="y")), Counter({"x": 0, "y": 0})
    for size in sizes:
        served.update(images_by_key(take(queue, size)))
        assert abs(served["x"] - served["y"]) <= 1
