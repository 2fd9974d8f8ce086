import os
from pathlib import Path

import pytest

from service.audits.folder_listing import FolderListing
from service.audits.sources import allowed_folder, is_image_name, read_file
from service.errors import InputError


@pytest.fixture
def allowed(tmp_path: Path) -> Path:
    folder = tmp_path / "allowed"
    folder.mkdir()
    return folder


def listed(folder: Path, *allowed: Path):
    return list(FolderListing(folder, allowed or (folder,), lambda: None))


def test_a_folder_below_an_allowed_one_is_taken_and_its_links_resolved(allowed) -> None:
    (allowed / "inner").mkdir()
    (allowed / "link").symlink_to("inner")
    assert allowed_folder(str(allowed / "link"), [allowed]) == allowed / "inner"
    assert allowed_folder(f"{allowed}/inner/..", [allowed]) == allowed


@pytest.mark.parametrize(
    "text", ["/", "/etc", "relative", "", "a\0b", "/nowhere/at/all", "{}/..", "{}/out", "{}x", "/\ud800"]
)
def test_whatever_is_not_below_an_allowed_folder_is_refused_alike(text, allowed) -> None:
    (allowed / "out").symlink_to("/etc")
    Path(f"{allowed}x").mkdir()
    with pytest.raises(InputError, match="not below a folder that may be audited"):
        allowed_folder(text.replace("{}", str(allowed)), [allowed])


def test_a_folder_that_is_missing_or_a_file_or_a_loop_is_refused(allowed) -> None:
    (allowed / "file").write_text("")
    (allowed / "loop").symlink_to("loop")
    for name in ("file", "missing", "loop", "a" * 300):
        with pytest.raises(InputError, match=r"not a folder|not below"):
            allowed_folder(str(allowed / name), [allowed])


def test_without_allowed_folders_none_is_taken(tmp_path) -> None:
    with pytest.raises(InputError, match="--audit-folder"):
        allowed_folder(str(tmp_path), [])


def test_links_are_followed_to_files_below_allowed_folders_only(allowed, tmp_path) -> None:
    other, secret = tmp_path / "other", tmp_path / "secret"
    other.mkdir(), secret.mkdir()
    for folder in (other, secret):
        (folder / "x.png").write_bytes(b"inside")
    (allowed / "1.png").symlink_to(other / "x.png")
    (allowed / "2.png").symlink_to(secret / "x.png")
    (allowed / "3.png").symlink_to(allowed / "gone.png")
    (allowed / "4").symlink_to(other)
    (allowed / "5.png").symlink_to("5.png")
    (allowed / "6").symlink_to(secret)
    files = listed(allowed, allowed, other)
    assert [file.name for file in files] == ["1.png", "2.png", "3.png", "4", "5.png", "6"]
    assert read_file(files[0], [allowed, other], 100) == b"inside"
    complaints = ["leads out", "leads nowhere", "links to folders", "in a circle", "leads out"]
    for file, complaint in zip(files[1:], complaints, strict=True):
        with pytest.raises(InputError, match=complaint):
            read_file(file, [allowed, other], 100)


def test_pipes_are_not_opened(allowed) -> None:
    os.mkfifo(allowed / "a.png")
    [file] = listed(allowed)
    with pytest.raises(InputError, match="not a regular file"):
        read_file(file, [allowed], 100)


def test_a_file_that_became_a_pipe_does_not_block(allowed) -> None:
    (allowed / "a.png").write_bytes(b"x")
    [file] = listed(allowed)
    (allowed / "a.png").unlink()
    os.mkfifo(allowed / "a.png")
    with pytest.raises(InputError, match="changed"):
        read_file(file, [allowed], 100)


def test_a_file_that_changed_or_went_says_so(allowed) -> None:
    for name in ("changed.png", "gone.png", "longer.png"):
        (allowed / name).write_bytes(b"x")
    changed, gone, longer = listed(allowed)
    os.utime(allowed / "changed.png", (1, 1))
    (allowed / "gone.png").unlink()
    (allowed / "longer.png").write_bytes(b"xx")
    for file, complaint in ((changed, "changed"), (gone, "No such file"), (longer, "changed")):
        with pytest.raises(InputError, match=complaint):
            read_file(file, [allowed], 100)


def test_a_file_whose_place_was_taken_by_a_link_is_not_read(allowed, tmp_path) -> None:
    (allowed / "inner").mkdir()
    (allowed / "inner" / "a.png").write_bytes(b"x")
    (allowed / "b.png").write_bytes(b"x")
    plain, inner = listed(allowed)
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "a.png").write_bytes(b"s")
    (allowed / "inner" / "a.png").unlink()
    (allowed / "inner").rmdir()
    (allowed / "inner").symlink_to(secret)
    (allowed / "b.png").unlink()
    (allowed / "b.png").symlink_to(secret / "a.png")
    for file in (inner, plain):
        with pytest.raises(InputError, match="cannot be read"):
            read_file(file, [allowed], 100)


def test_where_the_folder_itself_has_gone_it_is_no_matter_of_one_file(allowed) -> None:
    (allowed / "a.png").write_bytes(b"x")
    [file] = listed(allowed)
    allowed.rename(allowed.with_name("moved"))
    with pytest.raises(FileNotFoundError):
        read_file(file, [allowed], 100)


def test_a_disk_that_fails_is_no_matter_of_one_file(allowed, monkeypatch) -> None:
    (allowed / "a.png").write_bytes(b"x")
    [file] = listed(allowed)

    def failing(*_: object, **__: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "open", failing)
    with pytest.raises(OSError, match="Input/output"):
        read_file(file, [allowed], 100)


def test_no_more_is_read_than_may_be_decoded(allowed) -> None:
    (allowed / "a.png").write_bytes(b"x" * 100)
    [file] = listed(allowed)
    assert len(read_file(file, [allowed], 10)) == 11


def test_names_in_no_encoding_are_listed_as_escapes_and_read(allowed) -> None:
    (Path(os.fsdecode(os.fsencode(allowed) + b"/\xff.png"))).write_bytes(b"x")
    [file] = listed(allowed)
    assert file.name == "\\xff.png"
    assert read_file(file, [allowed], 10) == b"x"


@pytest.mark.parametrize(
    ("name", "answer"), [("a.PNG", True), (".a.png", False), ("a", False), ("png", False), ("a.txt", False)]
)
def test_images_are_known_by_their_names(name, answer) -> None:
    assert is_image_name(name) is answer
