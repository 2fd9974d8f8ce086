import itertools

import pytest

from service.errors import EngineError
from service.offline.cluster.dispatch import Dispatch
from service.offline.items import Item
from service.offline.work import Shard

CRASH = RuntimeError("the process died")


def shard(number: int) -> Shard:
    return Shard(number=number, items=[Item(path=f"{number}/first.png"), Item(path=f"{number}/last.png")])


def dispatch_of(n_shards: int, *workers: int) -> Dispatch:
    dispatch = Dispatch(shard(number) for number in range(n_shards))
    for worker in workers:
        dispatch.joined(worker)
    return dispatch


def assigned(dispatch: Dispatch) -> list[tuple[int, int]]:
    """All that can be handed out now, as pairs of worker and shard."""
    pairs = []
    while (pair := dispatch.assign()) is not None:
        pairs.append((pair[0], pair[1].number))
    return pairs


def test_each_worker_gets_one_shard_before_any_gets_its_second_and_none_a_third() -> None:
    assert assigned(dispatch_of(9, 7, 8)) == [(7, 0), (8, 1), (7, 2), (8, 3)]


def test_shards_are_taken_only_when_somebody_can_judge_them() -> None:
    taken = []
    shards = (taken.append(number) or shard(number) for number in itertools.count())
    dispatch = Dispatch(shards)
    assert assigned(dispatch) == []
    assert taken == []
    dispatch.joined(0)
    assigned(dispatch)
    assert taken == [0, 1]
    dispatch.done(0, 0)
    assigned(dispatch)
    assert taken == [0, 1, 2]


def test_it_is_finished_when_the_last_shard_is_back() -> None:
    dispatch = dispatch_of(1, 0)
    assert not dispatch.is_finished
    assert assigned(dispatch) == [(0, 0)]
    assert not dispatch.is_finished
    dispatch.done(0, 0)
    assert dispatch.is_finished


def test_both_shards_of_a_worker_that_died_are_judged_alone() -> None:
    dispatch = dispatch_of(9, 0, 1)
    assigned(dispatch)
    dispatch.lost(0, CRASH)
    dispatch.joined(2)
    assert assigned(dispatch) == [(2, 0)]
    dispatch.done(2, 0)
    assert assigned(dispatch) == [(2, 2)]
    dispatch.done(2, 2)
    assert assigned(dispatch) == [(2, 4), (2, 5)]


def test_a_worker_with_a_suspect_gets_nothing_besides_while_others_go_on() -> None:
    dispatch = dispatch_of(9, 0, 1)
    assigned(dispatch)
    dispatch.lost(0, CRASH)
    dispatch.joined(2)
    assigned(dispatch)
    dispatch.done(1, 1)
    assert assigned(dispatch) == [(1, 4)]


def test_suspects_are_judged_at_the_end_where_no_worker_replaces_the_lost_one() -> None:
    dispatch = dispatch_of(4, 0, 1)
    assigned(dispatch)
    dispatch.lost(0, CRASH)
    dispatch.done(1, 1)
    assert assigned(dispatch) == []
    dispatch.done(1, 3)
    assert assigned(dispatch) == [(1, 0)]
    dispatch.done(1, 0)
    assert assigned(dispatch) == [(1, 2)]
    dispatch.done(1, 2)
    assert dispatch.is_finished


def test_the_third_death_names_the_shard_and_not_its_neighbour() -> None:
    dispatch = dispatch_of(2, 0)
    assigned(dispatch)
    dispatch.lost(0, CRASH)
    dispatch.joined(1)
    assert assigned(dispatch) == [(1, 0)]
    dispatch.lost(1, CRASH)
    dispatch.joined(2)
    # The neighbour waits longer, is judged alone, and is whole.
    assert assigned(dispatch) == [(2, 1)]
    dispatch.done(2, 1)
    assert assigned(dispatch) == [(2, 0)]
    with pytest.raises(
        EngineError, match=r"shard 0 \(2 images from 0/first\.png to 0/last\.png\) failed 3 times.*died"
    ):
        dispatch.lost(2, CRASH)


def test_failures_of_different_shards_do_not_add_up() -> None:
    dispatch = dispatch_of(5, 0)
    for number in range(5):
        shards = assigned(dispatch)
        assert shards[0] == (number, number)
        dispatch.failed(number, number, CRASH)
        dispatch.joined(number + 1)
        # Alone; the one beside it has waited.
        assert assigned(dispatch) == [(number + 1, number)]
        dispatch.done(number + 1, number)


def test_a_shard_beside_one_that_raised_is_handed_out_again_without_blame() -> None:
    dispatch = dispatch_of(2, 0)
    assert assigned(dispatch) == [(0, 0), (0, 1)]
    dispatch.failed(0, 0, CRASH)
    dispatch.joined(1)
    assert assigned(dispatch) == [(1, 0)]
    dispatch.done(1, 0)
    assert assigned(dispatch) == [(1, 1)]
    # Two failures of its own are not yet the third.
    for worker in (1, 2):
        dispatch.failed(worker, 1, CRASH)
        dispatch.joined(worker + 1)
        assert assigned(dispatch) == [(worker + 1, 1)]
    dispatch.done(3, 1)
    assert dispatch.is_finished


def test_a_disk_that_fails_again_and_again_is_told_as_such() -> None:
    dispatch = dispatch_of(1, 0)
    failure = OSError(5, "Input/output error")
    for worker in range(2):
        assert assigned(dispatch) == [(worker, 0)]
        dispatch.failed(worker, 0, failure)
        dispatch.joined(worker + 1)
    assigned(dispatch)
    with pytest.raises(OSError, match="Input/output error"):
        dispatch.failed(2, 0, failure)


def test_a_long_cause_of_many_lines_is_told_in_one_short_line() -> None:
    dispatch = Dispatch(iter([shard(0)]), attempts=1)
    dispatch.joined(0)
    dispatch.assign()
    with pytest.raises(EngineError) as told:
        dispatch.lost(0, RuntimeError("died\n\tpid: 7\n" * 1000))
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 700
    assert "died pid: 7" in str(told.value)
