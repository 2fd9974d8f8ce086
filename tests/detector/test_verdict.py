import dataclasses

import pytest

from detector.verdict import Decision, Outcome, Verdict


def test_decisions_read_as_the_words_of_every_interface() -> None:
    assert [str(decision) for decision in Decision] == ["clean", "adversarial", "undecided"]


def test_every_outcome_but_a_decision_says_what_to_do() -> None:
    advice = [outcome for outcome in Outcome if outcome is not Outcome.DECIDED]
    assert all("; " in outcome for outcome in advice)


def test_a_verdict_cannot_be_changed() -> None:
    verdict = Verdict(
        decision=Decision.CLEAN,
        label=0,
        score=0.0,
        p_value=1.0,
        false_positive_rate=0.05,
        barrier=0.0,
        prototype=0,
        suspected_label=None,
        outcome=Outcome.DECIDED,
        profile=(),
    )
    with pytest.raises(dataclasses.FrozenInstanceError):
        verdict.decision = Decision.ADVERSARIAL  # type: ignore[misc]
