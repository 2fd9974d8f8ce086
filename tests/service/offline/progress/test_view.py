import threading

import pytest

from service.offline.progress.meter import Reading
from service.offline.progress.view import in_words, shown, speed

READING = Reading(
    n_done=1234,
    n_listed=5000,
    is_listed=True,
    n_flagged=12,
    n_errors=3,
    n_shards=2,
    images_per_second=210.4,
    seconds_left=17.9,
)


class Seen:
    """A view that wants to hear often."""

    seconds_between = 0.001

    def __init__(self) -> None:
        self.readings: list[object] = []
        self.was_told = threading.Event()

    def show(self, reading) -> None:
        self.readings.append(reading)
        self.was_told.set()


def changed(**changes) -> Reading:
    return Reading(**{**{name: getattr(READING, name) for name in Reading.__dataclass_fields__}, **changes})


def test_the_line_says_how_far_how_fast_what_was_found_and_how_long() -> None:
    assert in_words(READING) == "1,234 of 5,000  210/s  12 flagged  3 unreadable  0:00:18 left"


def test_a_total_that_is_not_known_yet_is_not_pretended() -> None:
    unlisted = changed(is_listed=False, seconds_left=None, images_per_second=None)
    assert in_words(unlisted) == "1,234 of at least 5,000  12 flagged  3 unreadable"


@pytest.mark.parametrize(("value", "words"), [(0.04567, "0.046"), (3.21, "3.2"), (12.3, "12"), (12345.6, "12,346")])
def test_a_speed_is_as_exact_as_anybody_needs(value, words) -> None:
    assert speed(value) == words


def test_a_view_is_told_while_the_work_goes_on_and_once_more_at_its_end() -> None:
    view, now = Seen(), ["on the way"]
    with shown(view, lambda: now[0]):
        assert view.was_told.wait(30)
        now[0] = "at the end"
    assert view.readings[0] == "on the way"
    assert view.readings[-1] == "at the end"
    assert "progress" not in {thread.name for thread in threading.enumerate()}


def test_the_work_fails_as_itself_where_nobody_reads_any_more() -> None:
    view = Seen()

    def gone(reading) -> None:
        view.was_told.set()
        raise BrokenPipeError

    view.show = gone
    with pytest.raises(BrokenPipeError), shown(view, lambda: None):
        assert view.was_told.wait(30)
