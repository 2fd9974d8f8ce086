import pytest

from service.offline.sources.source import MOST_SUFFIXES, FileKind, Skipped, kind_of, printable


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a/b.PNG", FileKind.IMAGE),
        ("a.png/b.txt", FileKind.OTHER),
        ("shard-0000.tar", FileKind.TAR),
        ("a.TAR.GZ", FileKind.COMPRESSED_TAR),
        ("a.tgz", FileKind.COMPRESSED_TAR),
        ("a.parquet", FileKind.PARQUET),
        ("a.csv", FileKind.CSV),
        ("a.ndjson", FileKind.JSON_LINES),
        ("folder/.a.tar", FileKind.OTHER),
        ("tar", FileKind.OTHER),
        ("a.zip", FileKind.OTHER),
    ],
)
def test_files_are_told_apart_by_their_names(name, kind) -> None:
    assert kind_of(name) is kind


def test_what_is_passed_over_is_counted_by_suffix_in_little_memory() -> None:
    skipped = Skipped()
    for name in ("a/b.TXT", "c.txt", "d", ".hidden.png", "e.tar.gz"):
        skipped.add(name)
    assert skipped == {".txt": 2, "": 1, "hidden": 1, ".gz": 1}
    for number in range(1000):
        skipped.add(f"a.{number}")
    assert len(skipped) == MOST_SUFFIXES + 1
    assert sum(skipped.values()) == 1005


@pytest.mark.parametrize(
    ("name", "text"), [("ö.png", "ö.png"), ("\udcff.png", "\\xff.png"), ("\ud800", "\\ud800"), ("a\nb", "a\nb")]
)
def test_names_that_are_no_text_are_written_as_escapes(name, text) -> None:
    assert printable(name) == text
