from collections.abc import Iterator

import pytest

from service.offline.sources.samples import LONGEST_NAME, MOST_IMAGES, TEXT_BYTES, images_of, key_of
from service.offline.sources.source import Skipped
from service.offline.sources.tar_headers import DamagedError, TarMember


class Members:
    """Members of an archive that is not there."""

    def __init__(self, *members: tuple[str, bytes], **changes: bool) -> None:
        self._members, self._changes = members, changes
        self._data = b""
        self.n_given = 0
        self.skipped = Skipped()

    def __iter__(self) -> Iterator[TarMember]:
        for number, (name, data) in enumerate(self._members):
            self._data, self.n_given = data, number + 1
            kind = {"is_file": True, "is_folder": False, **self._changes}
            yield TarMember(number=number, name=name, offset=0, size=len(data), **kind)

    def images(self):
        return list(images_of(iter(self), lambda n_bytes: self._data[:n_bytes], self.skipped))


def told(images) -> list[tuple[str, str | None, str | None]]:
    return [(image.name, image.given_label, image.text) for image in images]


def test_an_image_has_the_class_and_the_text_of_its_sample_whichever_comes_first() -> None:
    members = Members(
        ("1.cls", b"7\n"), ("1.jpg", b"x"), ("1.json", b"{}"), ("2.jpg", b"x"), ("2.cls", b"cat"), ("3.jpg", b"x")
    )
    assert told(members.images()) == [("1.jpg", "7", "{}"), ("2.jpg", "cat", None), ("3.jpg", None, None)]
    assert members.skipped == {}


def test_samples_are_told_apart_by_their_folders_and_names_up_to_the_first_dot() -> None:
    assert key_of("a.b/c.d.e") == "a.b/c"
    members = Members(
        ("a/1.cls", b"7"), ("b/1.jpg", b"x"), ("c/2.left.png", b"x"), ("c/2.right.png", b"x"), ("c/2.cls", b"1")
    )
    assert told(members.images()) == [
        ("b/1.jpg", None, None),
        ("c/2.left.png", "1", None),
        ("c/2.right.png", "1", None),
    ]


def test_what_is_no_image_and_what_is_too_large_is_counted() -> None:
    members = Members(("1.txt", b""), ("1.JPG", b""), ("1.json", bytes(TEXT_BYTES + 1)), ("._1.jpg", b""))
    assert told(members.images()) == [("1.JPG", None, None), ("._1.jpg", None, None)]
    assert members.skipped == {".txt": 1, ".json": 1}


def test_names_with_a_common_beginning_do_not_fill_memory() -> None:
    seen = Members(*[(f"frame.{number}.png", b"") for number in range(3 * MOST_IMAGES)])
    found = images_of(iter(seen), bytes, Skipped())
    next(found)
    assert seen.n_given == MOST_IMAGES + 1
    assert len(list(found)) == 3 * MOST_IMAGES - 1


def test_links_and_names_without_end_are_refused_rows() -> None:
    [link] = Members(("a.png", b""), is_file=False).images()
    assert "link" in link.refused
    [long] = Members(("x" * (LONGEST_NAME + 1) + ".png", b"")).images()
    assert "name" in long.refused
    assert len(long.name) == LONGEST_NAME + 1


def test_folders_are_neither_images_nor_counted() -> None:
    members = Members(("a.png", b""), is_file=False, is_folder=True)
    assert members.images() == []
    assert members.skipped == {}


def test_names_are_written_as_text_with_single_slashes() -> None:
    members = Members(("./a//b\udcff.png", b""), ("/../c.png", b""))
    assert [image.name for image in members.images()] == ["a/b\\xff.png", "../c.png"]


def test_where_an_archive_is_damaged_the_last_images_are_not_lost() -> None:
    def failing() -> Iterator[TarMember]:
        yield from Members(("1.jpg", b"x"))
        raise DamagedError("damage")

    found = images_of(failing(), bytes, Skipped())
    assert next(found).name == "1.jpg"
    with pytest.raises(DamagedError, match="damage"):
        next(found)


def test_where_the_disk_fails_no_image_comes_without_the_label_that_it_may_have() -> None:
    def failing() -> Iterator[TarMember]:
        yield from Members(("1.jpg", b"x"))
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        next(images_of(failing(), bytes, Skipped()))
