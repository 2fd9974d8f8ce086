import pytest

from service.offline.report.about import facts_of, passed_over, source_name


@pytest.mark.parametrize(
    ("location", "name"),
    [
        ("/secret/place/uploads/", "uploads"),
        ("/secret/place/*.png", "*.png"),
        (["/secret/a.tar", "/secret/b.tar", "/secret/c.tar"], "a.tar and 2 more"),
        ("s3://bucket/folder", "s3://bucket/folder"),
        ("https://user:password@host/a.tar?X-Signature=abc#d", "https://host/a.tar"),
        ("/a/b\n\x1b[2J", "b\ufffd\ufffd[2J"),
        ("", "the source"),
    ],
)
def test_a_source_is_called_by_its_own_name_without_the_way_to_it(location, name):
    assert source_name({"kind": "folder", "location": location}) == name


def test_the_facts_say_with_what_was_judged(contract, summary):
    facts = dict(facts_of(contract, summary))
    assert facts["source"] == "uploads (folder)"
    assert facts["bundle"] == "digits (bbbbbbbbbbbb)"
    assert facts["false alarms asked for"] == "5\u202f%" and facts["false discoveries allowed"] == "10\u202f%"


def test_files_that_are_no_images_are_counted_by_suffix():
    assert passed_over({}) is None
    assert passed_over({".txt": 1}) == "1 file was passed over, no images by their names: 1\u202f× .txt."
    many = passed_over({".a": 1, ".b": 2, ".c": 3, "": 4, ".e": 5, ".f": 6})
    assert many == (
        "21 files were passed over, no images by their names: "
        "6\u202f× .f, 5\u202f× .e, 4\u202f× no suffix, 3\u202f× .c and 3 others."
    )
