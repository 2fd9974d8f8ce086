import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.permits import LONGEST_RETRY_SECONDS, Permits
from service.errors import OverloadedError, TooLargeError


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_places_are_taken_and_given_back_once():
    permits = Permits(10)
    permit = permits.take(4)
    assert permits.n_free == 6
    permit.release()
    permit.release()
    assert permits.n_free == 10


def test_a_block_gives_its_places_back_however_it_ends():
    permits = Permits(3)
    with pytest.raises(KeyError), permits.take(3):
        raise KeyError
    assert permits.n_free == 3


def test_a_request_takes_up_a_place_before_it_is_known_what_it_holds():
    assert Permits(3).take(0).n_images == 1


def test_nobody_gets_a_place_that_is_not_free():
    permits = Permits(3)
    permits.take(3)
    with pytest.raises(OverloadedError, match="3 of 3 places"):
        permits.take()


def test_a_permit_grows_to_what_the_request_turns_out_to_hold():
    permits = Permits(10)
    permit = permits.take()
    permit.grow(7)
    assert (permit.n_images, permits.n_free) == (7, 3)
    permit.grow(2)
    assert permit.n_images == 7
    permit.release()
    assert permits.n_free == 10


def test_a_permit_that_cannot_grow_stays_what_it_was():
    permits = Permits(4)
    other, permit = permits.take(3), permits.take()
    with pytest.raises(OverloadedError):
        permit.grow(2)
    assert permits.n_taken == 4
    permit.release()
    other.release()
    assert permits.n_free == 4


@pytest.mark.parametrize("taken", [0, 2])
def test_what_can_never_fit_is_not_told_to_come_again(taken):
    permits = Permits(4)
    held = [permits.take() for _ in range(taken)]
    with pytest.raises(TooLargeError, match="5 images came"):
        permits.take(5)
    with pytest.raises(TooLargeError):
        permits.take().grow(5)
    assert len(held) == taken


def test_a_permit_given_back_does_not_grow():
    permit = Permits(4).take()
    permit.release()
    with pytest.raises(ValueError, match="given back"):
        permit.grow(2)


def retry_after(permits):
    with pytest.raises(OverloadedError) as caught:
        permits.take(permits.capacity)
    return caught.value.retry_after


def test_who_is_refused_may_come_again_when_those_inside_will_be_out():
    clock = Clock()
    permits = Permits(100, clock=clock)
    permits.take(80)
    assert retry_after(permits) == 1.0
    for second in range(20):
        clock.now = float(second)
        permits.take(20).release()
    assert retry_after(permits) == pytest.approx(4.0, rel=0.11)


def test_nobody_is_sent_away_for_longer_than_a_minute():
    clock = Clock()
    permits = Permits(100_000, clock=clock)
    permits.take(90_000)
    permits.take(1).release()
    assert retry_after(permits) == LONGEST_RETRY_SECONDS


def test_waiting_for_all_places_ends_with_the_last_release():
    permits = Permits(3)
    permit = permits.take(2)
    assert not permits.wait_until_free(0.0)
    threading.Timer(0.02, permit.release).start()
    assert permits.wait_until_free(60.0)


@given(acts=st.lists(st.tuples(st.sampled_from(["take", "grow", "release"]), st.integers(0, 12)), max_size=50))
def test_no_more_places_are_taken_than_there_are(acts):
    permits, held = Permits(10), []
    for act, n in acts:
        try:
            if act == "take":
                held.append(permits.take(n))
            elif held and act == "grow":
                held[n % len(held)].grow(n)
            elif held:
                held.pop(n % len(held)).release()
        except (OverloadedError, TooLargeError):
            pass
        assert permits.n_taken == sum(permit.n_images for permit in held) <= 10


def test_threads_that_race_leave_no_place_behind():
    permits = Permits(5)
    most = []

    def work():
        for _ in range(300):
            try:
                with permits.take(2) as permit:
                    permit.grow(3)
                    most.append(permits.n_taken)
            except OverloadedError:
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert permits.n_free == 5
    assert max(most) <= 5


def test_no_more_come_in_than_are_judged_in_time():
    permits = Permits(100, worthwhile=lambda: 7.9)
    permits.take(4)
    permits.take(3)
    with pytest.raises(OverloadedError, match="7 of 7 places"):
        permits.take(1)


def test_a_request_that_is_alone_may_have_every_place_however_slow_the_device_is():
    permits = Permits(100, worthwhile=lambda: 2.0)
    permit = permits.take(1)
    permit.grow(100)
    assert permits.n_free == 0


def test_a_request_beside_others_grows_only_as_far_as_is_judged_in_time():
    permits = Permits(100, worthwhile=lambda: 5.0)
    permits.take(1)
    permit = permits.take(1)
    permit.grow(4)
    with pytest.raises(OverloadedError):
        permit.grow(5)
    assert permits.n_taken == 5


def test_a_key_that_floods_leaves_places_for_another():
    permits = Permits(90)
    held = 0
    with pytest.raises(OverloadedError, match="this key holds"):
        while True:
            permits.take(1, "greedy")
            held += 1
    # Eight times what is free: 80 and 10, where the one that is asked for counts as held already.
    assert held == 80
    permits.take(10, "modest")


def test_one_large_request_of_a_key_is_no_flood():
    permit = Permits(90).take(1, "large")
    permit.grow(90)
    assert permit.n_images == 90


def test_what_a_key_gave_back_is_not_counted_against_it():
    permits = Permits(90)
    for _ in range(200):
        permits.take(40, "often").release()
    assert permits.n_free == 90


def test_without_keys_every_place_can_be_had():
    permits = Permits(9)
    for _ in range(9):
        permits.take(1)
    assert permits.n_free == 0
