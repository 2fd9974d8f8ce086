import pytest

from detector.verdict import Decision
from service.audits import feedback_store
from service.audits.database import Database
from service.audits.feedback_store import Feedback, FeedbackStore
from service.errors import OverloadedError


@pytest.fixture
def store(tmp_path):
    database = Database(tmp_path)
    yield FeedbackStore(database)
    database.close()


def said(position: int, **changes) -> Feedback:
    known = {"key_id": "a", "request_id": "r", "bundle": "toy", "note": None, "image": None}
    return Feedback(
        position=position,
        bundle_digest="d",
        image_digest="0",
        correct_decision=Decision.CLEAN,
        correct_label=None,
        record={"label": 1, "profile": [0.5, None]},
        **known | changes,
    )


def test_feedback_comes_back_as_it_was_given(store) -> None:
    feedback = said(0, note="ü\n\0", image=b"\x89PNG")
    store.add(feedback)
    assert list(store.each(key_id=None, bundle=None)) == [feedback]


def test_all_of_it_comes_in_order_a_few_at_a_time(store) -> None:
    for position in range(10):
        store.add(said(position, key_id="ab"[position % 2], bundle=("toy", "other")[position // 5]))
    assert [one.position for one in store.each(key_id=None, bundle=None, at_once=3)] == list(range(10))
    assert [one.position for one in store.each(key_id="a", bundle=None, at_once=2)] == [0, 2, 4, 6, 8]
    assert [one.position for one in store.each(key_id="b", bundle="toy")] == [1, 3]


def test_one_key_does_not_take_the_place_of_what_another_said(store) -> None:
    for key_id in ("a", "b"):
        store.add(said(0, key_id=key_id))
    assert len(list(store.each(key_id=None, bundle=None))) == 2


def test_a_key_that_has_said_too_much_may_still_correct_itself(store, monkeypatch) -> None:
    monkeypatch.setattr(feedback_store, "MOST_KEPT", 2)
    store.add(said(0)), store.add(said(1))
    with pytest.raises(OverloadedError):
        store.add(said(2))
    store.add(said(1, note="rather"))
    assert [one.note for one in store.each(key_id=None, bundle=None)] == [None, "rather"]
