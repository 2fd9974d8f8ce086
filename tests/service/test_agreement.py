import dataclasses

import pytest
import torch

from detector.verdict import Decision, Outcome, Verdict
from service.agreement import Answers, agreement

RATE, STEP = 0.05, 0.01


def verdict(decision, score, p_value, suspect=None):
    return Verdict(
        decision=decision,
        label=3,
        score=score,
        p_value=p_value,
        false_positive_rate=RATE,
        barrier=None,
        prototype=None,
        suspected_label=suspect,
        outcome=Outcome.DECIDED if score is not None else Outcome.NON_FINITE,
        profile=(),
    )


ANSWERS = Answers.of_verdicts(
    [
        verdict(Decision.CLEAN, -20.0, 0.9),
        verdict(Decision.ADVERSARIAL, 2.0, 0.05, suspect=1),
        verdict(Decision.UNDECIDED, None, None),
    ]
)


def compared(row, **changes):
    """With the answers to one image changed."""
    changed = {name: getattr(ANSWERS, name).clone() for name in changes}
    for name, value in changes.items():
        changed[name][row] = value
    other = dataclasses.replace(ANSWERS, **changed)
    return agreement(ANSWERS, other, false_positive_rate=RATE, calibration_step=STEP)


def test_an_undecided_verdict_counts_as_adversarial_without_numbers():
    assert ANSWERS.is_adversarial.tolist() == [False, True, True]
    assert ANSWERS.suspects.tolist() == [-1, 1, -1]
    assert ANSWERS.scores.isnan().tolist() == ANSWERS.p_values.isnan().tolist() == [False, False, True]


def test_equal_answers_agree():
    found = agreement(ANSWERS, ANSWERS, false_positive_rate=RATE, calibration_step=STEP)
    assert (found.n_images, found.n_equal_decisions, found.n_equal_labels, found.n_equal_suspects) == (3, 3, 3, 3)
    assert (found.largest_score_difference, found.largest_p_value_difference, found.faults) == (0.0, 0.0, ())
    assert found.to_record()["agrees"] is True


def test_another_decision_is_a_fault_unless_the_p_value_is_one_calibration_image_from_the_rate():
    near = compared(1, is_adversarial=False, p_values=0.06)
    assert (near.n_equal_decisions, near.n_borderline, near.faults) == (2, 1, ())
    assert near.largest_p_value_difference == pytest.approx(0.01)
    far = compared(0, is_adversarial=True)
    assert (far.n_equal_decisions, far.n_borderline) == (2, 0)
    assert far.faults == ("1 of 3 images get another decision",)


@pytest.mark.parametrize(("row", "difference", "is_fault"), [(0, 1.9e-3, False), (0, 2.1e-3, True), (1, 3e-4, True)])
def test_scores_may_differ_by_a_ten_thousandth_of_their_size(row, difference, is_fault):
    found = compared(row, scores=ANSWERS.scores[row] + difference)
    assert found.largest_score_difference == pytest.approx(difference)
    assert bool(found.faults) is is_fault


def test_a_number_that_only_one_of_them_has_is_a_fault():
    assert compared(2, scores=0.0).faults == ("1 of 3 images are decided by one and not by the other",)


def test_another_label_and_another_suspect_of_what_both_flag_are_faults():
    assert compared(0, labels=4).faults == ("1 of 3 images get another label",)
    found = compared(1, suspects=7)
    assert (found.n_equal_suspects, found.faults) == (2, ("1 of 3 images get another suspected label",))
    assert "2 suspects equal" in found.in_words()


def test_a_suspect_less_where_the_decision_is_at_the_very_rate_is_none():
    found = compared(1, is_adversarial=False, p_values=0.06, suspects=-1)
    assert (found.n_equal_suspects, found.faults) == (2, ())


@pytest.mark.parametrize(("n_other", "is_fault"), [(1, False), (2, True)])
def test_one_image_in_a_thousand_may_have_two_suspects_of_equal_claim(n_other, is_fault):
    many = Answers.joined([ANSWERS] * 400)
    suspects = many.suspects.clone()
    suspects[torch.arange(n_other) * 3 + 1] = 7
    other = dataclasses.replace(many, suspects=suspects)
    found = agreement(many, other, false_positive_rate=RATE, calibration_step=STEP)
    assert bool(found.faults) is is_fault


@pytest.mark.parametrize(("p_value", "is_fault"), [(0.93, False), (0.86, True), (0.94, True)])
def test_p_values_may_be_three_calibration_images_off(p_value, is_fault):
    faults = compared(0, p_values=p_value).faults
    fault = "1 of 3 images get a p-value that differs by more than 3 calibration images"
    assert faults == ((fault,) if is_fault else ())


def test_parts_are_joined_in_order():
    joined = Answers.joined([ANSWERS, ANSWERS])
    assert torch.equal(joined.is_adversarial, torch.tensor([False, True, True] * 2))
