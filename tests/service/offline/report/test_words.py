import dataclasses

import pytest

from service.offline.report.words import (
    chance_of,
    counted,
    discoveries_of,
    joined,
    lead_of,
    nats,
    percent,
    rate_text,
    resolution_of,
    shown_name,
)
from service.offline.summary.summary_types import Counts, Standing


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0"), (0.0512, "5.12"), (0.17, "17.0"), (1.0, "100"), (0.00001, "0.001"), (0.99951, "100"), (0.5, "50.0")],
)
def test_a_share_is_read_as_per_cent_with_three_digits_at_most(share, text):
    assert percent(share) == f"{text}\u202f%"


def test_a_share_of_nothing_is_a_dash_and_a_rate_is_as_it_was_asked_for():
    assert percent(None) == "–"
    assert rate_text(0.05) == "5\u202f%" and rate_text(0.001) == "0.1\u202f%"


def test_a_count_has_its_noun_and_its_thousands_set_apart():
    assert [counted(n, "image") for n in (0, 1, 12345)] == ["0 images", "1 image", "12\u202f345 images"]
    assert counted(2, "discovery", "discoveries") == "2 discoveries"


def test_a_barrier_too_low_to_tell_from_none_is_called_so():
    assert [nats(value) for value in (None, 0.0, 1e-5, 0.5)] == ["–", "0 nats", "< 0.001 nats", "0.5 nats"]


def test_what_cannot_be_seen_in_a_name_becomes_a_sign_that_can():
    assert shown_name("a\nb\x1b[31m\u202ec") == "a\ufffdb\ufffd[31m\ufffdc"


def test_of_a_long_name_both_ends_are_shown():
    shown = shown_name("begin" + "x" * 5000 + "end")
    assert len(shown) <= 160 and shown.startswith("begin") and shown.endswith("end") and "…" in shown


def test_parts_are_joined_as_a_sentence_joins_them():
    assert [joined(["a"]), joined(["a", "b"]), joined(["a", "b", "c"])] == ["a", "a and b", "a, b and c"]


def test_the_lead_says_how_many_were_judged_and_flagged(summary, nothing_read, nothing_flagged):
    lead = "Of 1\u202f010 images, 1\u202f000 could be read and were judged; of these 120 are flagged (12.0\u202f%)."
    assert lead_of(summary) == lead
    assert lead_of(nothing_flagged) == "Of 100 images, none is flagged."
    assert "none could be read" in lead_of(nothing_read)
    empty = Counts(n_images=0, n_clean=0, n_adversarial=0, n_undecided=0, n_unreadable=0)
    assert lead_of(dataclasses.replace(nothing_read, counts=empty)).startswith("No images were found")


def test_a_share_above_the_range_of_clean_images_is_said_to_be_more_than_chance(summary):
    text = chance_of(summary.comparison, has_copies=True)
    # 110 images, and 0.08 · 990 = 79.2 at the upper end of the range.
    assert text.startswith("That is more than chance explains.") and "31 images more than the upper end" in text
    assert "2.00\u202f% to 8.00\u202f%" in text and "copies of a picture counted once" in text
    assert "copies" not in chance_of(summary.comparison, has_copies=False)


def test_wherever_chance_is_spoken_of_it_is_that_of_images_that_the_classifier_gets_right(summary):
    for standing in Standing:
        comparison = dataclasses.replace(summary.comparison, standing=standing)
        text = chance_of(comparison, has_copies=False)
        assert "lean images that the classifier gets right, 5\u202f% of which may be flagged" in text
    above = chance_of(summary.comparison, has_copies=False)
    assert "attacked, of another kind, or named wrongly by the classifier" in above
    # Of natural images that the classifier gets wrong, many more than the rate are flagged.
    assert "Clean ones that the classifier gets wrong come on top" in discoveries_of(summary.discoveries)


def test_a_share_within_the_range_is_said_to_be_no_sign_of_an_attack(summary, nothing_flagged):
    within = dataclasses.replace(summary.comparison, standing=Standing.WITHIN)
    assert "no sign of an attack" in chance_of(within, has_copies=False)
    assert "none at all is no surprise" in chance_of(nothing_flagged.comparison, has_copies=False)


def test_a_share_below_the_range_is_said_to_be_of_other_images(summary):
    below = dataclasses.replace(summary.comparison, standing=Standing.BELOW)
    text = chance_of(below, has_copies=False)
    assert text.startswith("That is fewer than chance") and "does not describe them" in text


def test_an_empty_list_of_discoveries_is_said_to_be_empty(summary):
    assert discoveries_of(summary.discoveries).startswith("60 images stand out beyond chance")
    one = dataclasses.replace(summary.discoveries, n=1)
    assert discoveries_of(one).startswith("1 image stands out")
    assert "is empty" in discoveries_of(dataclasses.replace(summary.discoveries, n=0))


def test_too_few_calibration_images_for_so_many_images_are_named_where_nothing_stands_out(summary):
    advice = "Fewer attacked images than that cannot be told from chance"
    empty = dataclasses.replace(summary.discoveries, n=0, n_at_smallest=0)
    assert "at least 50 images, or none" in resolution_of(empty, 199) and "none has that one" in resolution_of(
        empty, 199
    )
    assert advice in resolution_of(empty, 199)
    assert advice not in resolution_of(summary.discoveries, 199)
    assert advice not in resolution_of(dataclasses.replace(empty, n_needed=2), 199)
