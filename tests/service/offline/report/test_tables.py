import dataclasses

from service.offline.report import tables
from service.offline.summary.parts import UnreadableReason


def test_a_folder_that_stands_out_is_bold_and_the_source_itself_has_a_name(summary):
    table = tables.folder_table(summary.by_folder, 0.1)
    assert table.rows[0] == ("a", 500, 0, 100, 20.0, 10.0, 40.0, 1e-9)
    assert table.rows[1][0] == "(the source itself)"
    assert table.bold == {(0, len(table.columns) - 1)}


def test_rows_that_were_left_out_are_counted(summary):
    assert tables.given_label_table(summary.by_given_label, 0.1).title.endswith("1 of 70")
    assert tables.given_label_table(summary.by_given_label, 0.1).rows[0][:3] == ("eight", 1000, 900)
    assert "of" not in tables.folder_table(summary.by_folder, 0.1).title


def test_every_table_with_an_excess_says_that_hard_images_have_one_too(summary):
    for table in (tables.folder_table(summary.by_folder, 0.1), tables.label_table(summary.by_label, 0.1)):
        assert "hard for the classifier stands out without an attack" in table.note
    assert "gets wrong is flagged more often" in tables.given_label_table(summary.by_given_label, 0.1).note


def test_labels_are_counted_without_what_could_not_be_read(summary):
    assert tables.label_table(summary.by_label, 0.1).columns[:3] == ("label", "images", "flagged")


def test_pairs_of_labels_say_how_many_of_them_are_flagged(summary):
    assert tables.confusion_table(summary.agreement).rows == (("eight", "three", 100, 90),)


def test_of_many_examples_some_are_named_and_the_others_counted():
    reason = UnreadableReason(error="empty", n=9, examples=("a", "b\n", "c", "d", "e"))
    assert tables.unreadable_table((reason,)).rows == (("empty", 9, "a, b\ufffd, c"),)


def test_identical_pictures_with_different_labels_are_set_apart(summary):
    found = summary.duplicates
    assert tables.conflict_table(found).rows == (("eight and three", 2, "clean", "p, q", "f" * 16),)
    both = dataclasses.replace(found, groups=(*found.conflicting, *found.groups))
    assert tables.duplicate_table(both).rows == (("x, y, z", 3, "clean", "e" * 16),)
    many = dataclasses.replace(found.groups[0], n=5)
    assert tables.duplicate_table(dataclasses.replace(found, groups=(many,))).rows[0][0] == "x, y, z and 2 more"
