import pytest
import torch

from service.engine.hand import SUCCESSES_TO_GROW, Hand
from service.engine.jobs import ImageJob, Ticket


@pytest.fixture
def device(tools):
    return tools.Device()


@pytest.fixture
def hand(tools, device):
    return Hand(tools.fake_detector(8), 8, device.make)


def tickets_of(job):
    return [Ticket(job, index) for index in range(job.n_images)]


def labels_of(decided):
    return [(ticket.index, verdict.label) for ticket, verdict in decided]


def test_what_is_admitted_is_judged_by_its_own_pixels(hand, tools):
    hand.admit(tickets_of(tools.make_job(3)))
    assert labels_of(hand.step()) == [(0, 0), (1, 1), (2, 2)]
    assert hand.is_idle


def test_bytes_and_pixels_share_a_step(hand, tools):
    stored = tools.make_job(3)
    ask = tools.make_ask([0, 0])
    object.__setattr__(ask, "images", torch.tensor([7, 9]).view(2, 1, 1, 1).float() / 255)
    pixels = ImageJob(ask, cost=1.0)
    hand.admit([tickets_of(pixels)[0], *tickets_of(stored), tickets_of(pixels)[1]])
    decided = {(ticket.job, ticket.index): verdict.label for ticket, verdict in hand.step()}
    assert decided == {(stored, 0): 0, (stored, 1): 1, (stored, 2): 2, (pixels, 0): 7, (pixels, 1): 9}


def test_images_of_a_job_that_is_over_are_left_out(hand, tools):
    gone, there = tools.make_job(2), tools.make_job(1)
    gone.let_go()
    hand.admit([*tickets_of(gone), *tickets_of(there)])
    assert [ticket.job for ticket in hand.tickets] == [there]


def test_dropped_images_leave(hand, tools):
    tickets = tickets_of(tools.make_job(3))
    hand.admit(tickets)
    hand.drop(tickets[:2])
    assert labels_of(hand.step()) == [(2, 2)]


def test_an_inspection_that_loses_images_is_found_out(hand, tools):
    hand.admit(tickets_of(tools.make_job(2)))
    hand.inspection.held.popitem()
    hand.inspection.step = list
    with pytest.raises(RuntimeError, match="1 images are in hand, 2 were to be"):
        hand.step()


def test_a_step_that_went_wrong_keeps_all_images_to_be_answered_for(hand, tools):
    tickets = tickets_of(tools.make_job(3))
    hand.admit(tickets)
    step = hand.inspection.step

    def losing():
        decided = step()
        return decided[:1]

    hand.inspection.step = losing
    with pytest.raises(RuntimeError, match="0 images are in hand, 2 were to be"):
        hand.step()
    assert hand.abandon() == tickets


def test_memory_that_runs_out_halves_the_steps_and_keeps_the_images(hand, device, tools):
    hand.admit(tickets_of(tools.make_job(8)))
    assert hand.shrink() == []
    assert (hand.limit, hand.is_idle, hand.n_free) == (4, False, 0)
    decided = []
    while not hand.is_idle:
        hand.admit([])
        decided += labels_of(hand.step())
    assert decided == [(index, index) for index in range(8)]
    assert [len(step) for step in device.steps] == [4, 4]


def test_steps_become_smaller_than_the_one_that_failed(hand, tools):
    hand.admit(tickets_of(tools.make_job(2)))
    hand.shrink()
    assert hand.limit == 1


def test_images_are_tried_again_once(hand, tools):
    tickets = tickets_of(tools.make_job(8))
    hand.admit(tickets)
    hand.shrink()
    hand.admit([])
    assert hand.shrink() == tickets[:4]
    assert hand.limit == 2
    hand.admit([])
    assert list(hand.tickets) == tickets[4:6]


def test_a_single_image_stays_a_step(hand, tools):
    hand.admit(tickets_of(tools.make_job(1)))
    hand.shrink()
    assert hand.limit == 1


def test_steps_grow_back_after_enough_went_well(hand, tools):
    hand.limit = 2
    hand.abandon()
    sizes = []
    for _ in range(2 * SUCCESSES_TO_GROW + 1):
        hand.grow_if_due()
        sizes.append(hand.n_free)
        hand.admit(tickets_of(tools.make_job(1)))
        hand.step()
    assert sizes == [2] * SUCCESSES_TO_GROW + [4] * SUCCESSES_TO_GROW + [8]


def test_steps_that_are_to_grow_wait_until_the_hand_is_empty(hand, device, tools):
    hand.limit = 2
    hand.abandon()
    for _ in range(SUCCESSES_TO_GROW - 1):
        hand.admit(tickets_of(tools.make_job(1)))
        hand.step()
    device.doubtful = -1
    hand.admit(tickets_of(tools.make_job(1)))
    hand.step()
    hand.grow_if_due()
    assert (hand.limit, hand.n_free) == (2, 0)
    while not hand.is_idle:
        hand.step()
    hand.grow_if_due()
    assert (hand.limit, hand.n_free) == (4, 4)


def test_giving_up_leaves_an_empty_hand_of_the_same_size(hand, tools):
    tickets = tickets_of(tools.make_job(3))
    hand.admit(tickets)
    assert hand.abandon() == tickets
    assert (hand.is_idle, hand.n_free) == (True, 8)
