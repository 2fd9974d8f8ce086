import pytest

from service.viewing.selection import Kind, Order, Selection


def paths(queries, selection, threshold=None):
    page = queries.page(selection, threshold, order=Order.SOURCE, descends=False, place=None, n=100)
    assert page.next is None
    return [row["path"] for row in page.rows]


@pytest.fixture(scope="module")
def queries(asked_once, row):
    return asked_once(
        [
            row(path="a/one.png", kind="adversarial", p_value=0.01, label=0, suspected=1, given="dog"),
            row(path="a/b/TWO.png", kind="adversarial", p_value=0.05, label=1, suspected=0, given="dog"),
            row(path="ab/three.png", kind="undecided", p_value=None, label=0, suspected=None),
            row(path="ab/four.png", kind="clean", p_value=0.2, label=1, given="cat"),
            row(path="five.png", kind="unreadable", given="cat"),
        ]
    )


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({}, "a/one.png a/b/TWO.png ab/three.png ab/four.png five.png"),
        ({"kind": Kind.FLAGGED}, "a/one.png a/b/TWO.png ab/three.png"),
        ({"kind": Kind.UNDECIDED}, "ab/three.png"),
        ({"kind": Kind.UNREADABLE}, "five.png"),
        ({"kind": Kind.CLEAN}, "ab/four.png"),
        ({"label": "cat"}, "a/one.png ab/three.png"),
        ({"given_label": "cat"}, "ab/four.png five.png"),
        ({"suspected_label": "dog"}, "a/one.png ab/four.png"),
        ({"p_value_least": 0.05, "p_value_most": 0.2}, "a/b/TWO.png ab/four.png"),
        ({"folder": "a"}, "a/one.png a/b/TWO.png"),
        ({"folder": "/a/"}, "a/one.png a/b/TWO.png"),
        ({"folder": "a/b"}, "a/b/TWO.png"),
        ({"folder": "/"}, "a/one.png a/b/TWO.png ab/three.png ab/four.png five.png"),
        ({"text": "two"}, "a/b/TWO.png"),
        ({"text": "%"}, ""),
        ({"text": "_ne"}, ""),
        ({"disagrees": True}, "a/one.png ab/four.png"),
        ({"kind": Kind.FLAGGED, "label": "cat", "folder": "a"}, "a/one.png"),
        ({"label": "cat' OR '1'='1"}, ""),
        ({"text": "x') OR true --"}, ""),
        ({"folder": "a\0"}, ""),
    ],
)
def test_a_selection_holds_what_is_everything_that_is_asked_for(queries, selection, expected):
    assert paths(queries, Selection(**selection)) == expected.split()


def test_labels_are_compared_by_name_in_any_case_or_by_number_and_unknown_ones_not_at_all(asked, row):
    given = ["CAT ", "dog", "0", "1", "uploads", "2", None]
    rows = [row(path=f"{number}", label=0, given=label) for number, label in enumerate(given)]
    unreadable = row(path="unreadable", kind="unreadable", given="dog")
    assert paths(asked([*rows, unreadable]), Selection(disagrees=True)) == ["1", "3"]


def test_a_digest_finds_the_images_with_these_pixels(queries):
    page = queries.page(Selection(), None, order=Order.SOURCE, descends=False, place=None, n=1)
    found = paths(queries, Selection(text=page.rows[0]["digest"]))
    assert "a/one.png" in found
    assert "five.png" not in found


def test_discoveries_are_adversarial_images_up_to_the_threshold_which_is_one_of_them(queries):
    assert paths(queries, Selection(discoveries=True), 0.05) == ["a/one.png", "a/b/TWO.png"]
    assert paths(queries, Selection(discoveries=True), 0.04) == ["a/one.png"]
    assert paths(queries, Selection(discoveries=True), 0.9) == ["a/one.png", "a/b/TWO.png"]


def test_nothing_is_on_an_empty_list(queries):
    assert paths(queries, Selection(discoveries=True), None) == []
