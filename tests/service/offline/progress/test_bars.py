import dataclasses
import io

import pytest
from rich.console import Console

from service.offline.progress.bars import audit_bars
from service.offline.progress.meter import Reading

READING = Reading(
    n_done=12,
    n_listed=50,
    is_listed=True,
    n_flagged=1,
    n_errors=0,
    n_shards=0,
    images_per_second=6.0,
    seconds_left=6.3,
)


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)


def last_lines(console: Console) -> list[str]:
    return [line.rstrip() for line in console.file.getvalue().replace("\r", "\n").split("\n") if "━" in line]


def test_one_bar_says_it_all_in_eighty_columns(console) -> None:
    with audit_bars(console) as bars:
        bars.show(READING)
    line = last_lines(console)[-1]
    assert "judging images ━" in line
    assert line.endswith("  12 of 50  6/s  1 flagged  0 unreadable  0:00:06 left")


def test_the_largest_audits_are_not_cut_off_either(console) -> None:
    large = dataclasses.replace(
        READING, n_done=123_456_789, n_listed=999_999_999, n_flagged=6_172_839, seconds_left=None
    )
    with audit_bars(console) as bars:
        bars.show(dataclasses.replace(large, is_listed=False))
    assert "123,456,789 of at least 999,999,999  6/s  6,172,839 flagged" in console.file.getvalue()


def test_what_comes_after_has_bars_of_its_own(console) -> None:
    with audit_bars(console) as bars:
        bars.show(READING)
        bars.stage("summing up", 2, 5)
    assert any("summing up" in line and line.endswith("2 of 5") for line in last_lines(console))


def test_nothing_is_shown_before_anything_is_listed(console) -> None:
    with audit_bars(console) as bars:
        bars.show(dataclasses.replace(READING, n_done=0, n_listed=0, is_listed=False))
    assert "judging" not in console.file.getvalue()
