"""How a source differs from what was listed is told by its first paths."""

import dataclasses
from collections.abc import Sequence

import pytest

from service.offline.folder import source_changes
from service.offline.folder.source_changes import SourceChanges
from service.offline.items import Item


class Counted(str):
    """A path; how often any was compared with another is counted."""

    n_compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Counted.n_compared += 1
        return str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        Counted.n_compared += 1
        return str.__ne__(self, other)


def items(names: str) -> list[Item]:
    return [Item(path=name, size=1) for name in names]


def told(was: Sequence[Item], now: Sequence[Item], *, was_complete: bool = True) -> str:
    return SourceChanges(iter(was), iter(now), was_complete=was_complete).describe()


def test_added_and_removed_paths_are_told_apart() -> None:
    assert told(items("abcde"), items("abXcd")) == "1 added ('X'), 1 removed ('e')"


def test_what_changed_of_an_image_is_told() -> None:
    old = Item(path="a.png", size=10, stamp="1", given_label="cat")
    for changes, words in [
        ({"size": 12}, "size was 10, is 12"),
        ({"stamp": "2"}, "written again since"),
        ({"given_label": "dog"}, "given label was 'cat', is 'dog'"),
        ({"columns": ("x",)}, "columns was (), is ('x',)"),
        ({"position": 512}, "lies elsewhere"),
    ]:
        new = dataclasses.replace(old, **changes)
        assert told([old], [new]) == f"1 changed (a.png: {words})"


def test_five_paths_of_each_kind_are_shown_and_all_are_counted() -> None:
    assert told(items("abcdefg"), []) == "7 removed ('a', 'b', 'c', 'd', 'e', …)"


def test_another_order_of_the_same_images_is_told() -> None:
    assert told(items("abc"), items("acb")) == "the same images in another order, from 'c' on"


def test_a_path_that_is_listed_twice_is_counted_twice() -> None:
    assert told(items("aab"), items("ab")) == "1 removed ('a')"
    assert told(items("ab"), items("aaab")) == "2 added ('a')"


def test_what_a_listing_that_was_cut_short_did_not_reach_is_not_called_added() -> None:
    assert told(items("abcd"), items("Xabcdefg"), was_complete=False) == "1 added ('X')"
    assert told(items("abcd"), items("acdefg"), was_complete=False) == "1 removed ('b')"


def test_too_many_differences_are_told_as_the_least_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_changes, "MOST_HELD", 10)
    was = [Item(path=f"a{number}") for number in range(1000)]
    now = [Item(path=f"b{number}") for number in range(1000)]
    assert told(was, now).startswith("at least 6 added ('b0'")


def test_a_removal_at_the_front_of_many_is_found_in_one_pass() -> None:
    was = [Item(path=Counted(number)) for number in range(2000)]
    assert told(was, was[1:]) == "1 removed ('0')"
    # In the worst way each would be compared with all others.
    assert 0 < Counted.n_compared <= 5 * len(was)
