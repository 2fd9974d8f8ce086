import itertools

import pytest

from service.errors import InputError
from service.viewing.paging import keys_of, read, written
from service.viewing.selection import Order, Selection


@pytest.fixture(scope="module")
def queries(asked_once, row):
    """Every combination of ties and of values that are missing."""
    kinds = ["adversarial", "clean", "unreadable"]
    values = itertools.product([0.01, 0.5, None], [0.0, -1.5], kinds, [None, "dog"])
    return asked_once(
        [
            row(path=f"{number % 5}.png", p_value=p, score=score, kind=kind, given=given, label=number % 2)
            for number, (p, score, kind, given) in enumerate(values)
        ]
    )


def walk(queries, n, **order):
    place, found = None, []
    while True:
        page = queries.page(Selection(), None, place=place, n=n, **order)
        found += [(row["shard"], row["row"]) for row in page.rows]
        if page.next is None:
            return found
        place = page.next


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("descends", [False, True])
def test_pages_together_are_the_whole_in_order_and_hold_each_row_once(queries, order, descends):
    whole = walk(queries, 100, order=order, descends=descends)
    assert len(whole) == len(set(whole)) == 36
    for n in (4, 36):
        assert walk(queries, n, order=order, descends=descends) == whole


@pytest.mark.parametrize("order", [Order.SUSPICION, Order.SCORE, Order.GIVEN_LABEL])
@pytest.mark.parametrize("descends", [False, True])
def test_rows_without_the_value_come_last_either_way(queries, order, descends):
    column = {"suspicion": "p_value"}.get(order.value, order.value)
    rows = queries.page(Selection(), None, order=order, descends=descends, place=None, n=100).rows
    values = [row[column] for row in rows]
    known = [value for value in values if value is not None]
    assert values == sorted(known, reverse=descends) + [None] * (len(values) - len(known))


def test_the_most_suspicious_come_first_and_the_higher_score_among_equals(asked, row):
    queries = asked(
        [
            row(path="late", p_value=0.5, score=9.0),
            row(path="low", p_value=0.01, score=1.0, kind="adversarial"),
            row(path="high", p_value=0.01, score=2.0, kind="adversarial"),
            row(path="none", p_value=None, score=5.0, kind="undecided"),
        ]
    )
    page = queries.page(Selection(), None, order=Order.SUSPICION, descends=False, place=None, n=9)
    assert [row["path"] for row in page.rows] == ["high", "low", "late", "none"]


def test_the_last_page_says_that_it_is(asked, row):
    queries = asked([row(path="a"), row(path="b")])
    ask = {"order": Order.PATH, "descends": False}
    assert queries.page(Selection(), None, place=None, n=2, **ask).next is None
    assert queries.page(Selection(), None, place=None, n=1, **ask).next is not None


@pytest.mark.parametrize(
    "text", ["", "!", "bm9uc2Vuc2U", written((1, 2)), written(("a", 1, True)), "W" * 60_000, "é", "bnVsbA", "Ww"]
)
def test_a_place_that_nobody_gave_is_refused(text):
    with pytest.raises(InputError, match="no place in these rows"):
        read(text, keys_of(Order.PATH, descends=False))


def test_a_place_comes_back_as_it_was_written():
    values = ("é\u202e'--", 3, 4)
    assert read(written(values), keys_of(Order.PATH, descends=True)) == values
