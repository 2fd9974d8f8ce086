"""A source is listed while its first images are being judged."""

import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.errors import InputError
from service.offline.folder.listing import Listing
from service.offline.folder.listing_ahead import GivenUpError, ListingAhead
from service.offline.folder.standing import Tally
from service.offline.items import Item


def ahead_of(path: Path, source: Any, check: Callable[[], None] = lambda: None) -> ListingAhead:
    return ListingAhead(Listing(path), Tally(), source, 32, check)


def test_a_shard_is_given_before_the_source_is_at_its_end(tmp_path: Path, source: Any) -> None:
    gate, listed = threading.Event(), source.items

    def waiting(check: Callable[[], None]) -> Iterator[Item]:
        for number, item in enumerate(listed(check)):
            if number == 20:
                assert gate.wait(60)
            yield item

    source.items = waiting
    numbers = iter(ahead_of(tmp_path, source))
    assert next(numbers) == 0
    gate.set()
    assert list(numbers) == [1, 2]


def test_the_listing_does_not_wait_for_who_judges(tmp_path: Path, source: Any) -> None:
    tally = Tally()
    ahead = ListingAhead(Listing(tmp_path), tally, source, 32, lambda: None)
    assert next(iter(ahead)) == 0
    ahead._thread.join(60)
    assert tally.standing.is_complete
    assert (tally.standing.n_items, tally.standing.n_shards) == (60, 3)


def test_nothing_is_listed_behind_the_close(tmp_path: Path, source: Any) -> None:
    def endless(check: Callable[[], None]) -> Iterator[Item]:
        return (Item(path=f"{number}.png") for number in itertools.count())

    source.items = endless
    ahead = ahead_of(tmp_path, source)
    assert next(iter(ahead)) == 0
    ahead.close()
    assert not ahead._thread.is_alive()
    remaining = []
    while not ahead._found.empty():
        remaining.append(ahead._found.get())
    assert isinstance(remaining[-1], GivenUpError)


def test_what_the_check_raises_ends_the_iteration(tmp_path: Path, source: Any) -> None:
    class StoppedError(Exception):
        pass

    def stop() -> None:
        raise StoppedError

    with pytest.raises(StoppedError):
        list(ahead_of(tmp_path, source, stop))


def test_a_network_that_fails_behind_the_first_shard_ends_the_iteration(tmp_path: Path, source: Any) -> None:
    listed = source.items

    def broken(check: Callable[[], None]) -> Iterator[Item]:
        for number, item in enumerate(listed(check)):
            if number == 20:
                raise ConnectionResetError("gone")
            yield item

    source.items = broken
    numbers = iter(ahead_of(tmp_path, source))
    assert next(numbers) == 0
    with pytest.raises(ConnectionResetError):
        next(numbers)
    source.items = listed
    assert list(ahead_of(tmp_path, source)) == [0, 1, 2]


def test_a_source_without_images_says_what_it_has_instead(tmp_path: Path, listed_source: Any) -> None:
    with pytest.raises(InputError, match=r"holds no images; passed over because they are no images: 2 \.txt"):
        list(ahead_of(tmp_path, listed_source([])))
