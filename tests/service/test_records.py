import json
import math

from detector.verdict import Decision, Outcome, Verdict
from service.records import FIELDS, error_record, verdict_record

CONTRACT = [
    "path",
    "decision",
    "label",
    "label_name",
    "score",
    "p_value",
    "false_positive_rate",
    "barrier",
    "prototype",
    "suspected_label",
    "suspected_label_name",
    "outcome",
    "profile",
    "error",
]


def flagged():
    return Verdict(
        decision=Decision.ADVERSARIAL,
        label=1,
        score=2.5,
        p_value=0.01,
        false_positive_rate=0.05,
        barrier=1.25,
        prototype=2,
        suspected_label=0,
        outcome=Outcome.DECIDED,
        profile=(0.5, 1.75, 0.0),
    )


def undecided():
    return Verdict(
        decision=Decision.UNDECIDED,
        label=1,
        score=math.nan,
        p_value=None,
        false_positive_rate=0.05,
        barrier=math.inf,
        prototype=None,
        suspected_label=None,
        outcome=Outcome.NON_FINITE,
        profile=(0.5, math.nan),
    )


def test_a_verdict_has_the_fields_of_the_contract_in_order():
    record = verdict_record("a.png", flagged(), ("cat", "dog"))
    assert list(record) == CONTRACT == list(FIELDS)
    assert record["label_name"] == "dog"
    assert record["suspected_label_name"] == "cat"
    assert (record["decision"], record["outcome"], record["error"]) == ("adversarial", "decided", None)


def test_an_error_has_the_same_fields_and_no_verdict():
    record = error_record("a.png", "empty")
    assert list(record) == CONTRACT
    given = {name: value for name, value in record.items() if value is not None}
    assert given == {"path": "a.png", "decision": "undecided", "error": "empty"}


def test_no_number_in_a_record_is_nan_or_infinite():
    record = verdict_record("a.png", undecided(), ("cat", "dog"))
    assert (record["score"], record["barrier"], record["profile"]) == (None, None, [0.5, None])
    json.dumps(record, allow_nan=False)


def test_an_undecided_verdict_says_why():
    record = verdict_record("a.png", undecided(), ("cat", "dog"))
    assert record["outcome"] == "non_finite"
    assert "not finite" in record["error"]
