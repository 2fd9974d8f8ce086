import os

import pytest

from service.errors import InputError
from service.offline.reading.places import LocalPlace, open_place


def test_a_file_is_read_as_a_whole_and_in_parts(tmp_path) -> None:
    path = tmp_path / "a\udcff"
    path.write_bytes(b"0123456789")
    place = open_place(str(path))
    assert (place.size, place.stamp) == (10, str(path.stat().st_mtime_ns))
    assert place.read_at(3, 4) == b"3456"
    assert place.read_at(8, 4) == b"89"
    for _ in range(2):
        with place.stream() as stream:
            assert stream.read() == b"0123456789"
    assert not place.has_changed()
    path.write_bytes(b"0")
    assert place.has_changed()
    place.close()


def test_a_file_that_is_replaced_goes_on_as_it_was(tmp_path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    place = LocalPlace(str(tmp_path / "a"))
    (tmp_path / "b").write_bytes(b"new")
    (tmp_path / "b").rename(tmp_path / "a")
    assert place.read_at(0, 3) == b"old"
    assert not place.has_changed()
    place.close()


def test_what_is_no_regular_file_is_refused(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("", "pipe", "link", "gone"):
        with pytest.raises(InputError):
            LocalPlace(f"{tmp_path}/{name}")


def test_a_disk_that_fails_is_no_matter_of_the_file(tmp_path, monkeypatch) -> None:
    def failing(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "open", failing)
    with pytest.raises(OSError, match="Input/output"):
        LocalPlace(str(tmp_path / "a"))
