import os
from pathlib import Path

import pytest

from service.audits import folder_listing, sorted_runs
from service.audits.folder_listing import FolderListing, Selection


class StoppedError(Exception):
    pass


@pytest.fixture
def allowed(tmp_path: Path) -> Path:
    folder = tmp_path / "allowed"
    folder.mkdir()
    return folder


def n_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def names(folder: Path, selection: Selection | None = None) -> list[str]:
    return [file.name for file in FolderListing(folder, [folder], lambda: None, selection)]


def test_files_come_in_order_with_those_of_inner_folders_behind(allowed) -> None:
    for name in ("b.png", "a.jpg", "z/1.png", "c/2.png", ".hidden.png", "text.txt", "c/d/3.PNG"):
        (allowed / name).parent.mkdir(parents=True, exist_ok=True)
        (allowed / name).write_bytes(b"x")
    listing = FolderListing(allowed, [allowed], lambda: None)
    assert [file.name for file in listing] == ["a.jpg", "b.png", "c/2.png", "c/d/3.PNG", "z/1.png"]
    assert listing.n_skipped == 2


def test_a_folder_of_more_files_than_are_sorted_in_memory_comes_in_the_same_order(allowed, monkeypatch) -> None:
    for number in range(40):
        (allowed / f"{number * 7 % 40}.png").write_bytes(b"x")
        (allowed / f"folder {number * 3 % 40}").mkdir()
        (allowed / f"folder {number * 3 % 40}" / "a.png").write_bytes(b"x")
    (allowed / "line\nbreak.png").write_bytes(b"x")
    (allowed / "link.png").symlink_to("0.png")
    in_memory = names(allowed)
    assert len(in_memory) == 82
    monkeypatch.setattr(sorted_runs, "RUN", 7)
    assert names(allowed) == in_memory


def test_a_listing_that_is_left_half_way_holds_no_files_open(allowed, monkeypatch) -> None:
    monkeypatch.setattr(sorted_runs, "RUN", 3)
    for number in range(20):
        (allowed / f"{number}.png").write_bytes(b"x")
        (allowed / f"folder {number}").mkdir()
    n_open = n_descriptors()
    listing = iter(FolderListing(allowed, [allowed], lambda: None))
    next(listing)
    assert n_descriptors() > n_open
    listing.close()
    assert n_descriptors() == n_open


def test_a_large_folder_is_left_as_soon_as_nobody_wants_it(allowed, monkeypatch) -> None:
    monkeypatch.setattr(folder_listing, "OFTEN", 10)
    for number in range(100):
        (allowed / f"{number:03d}.txt").write_bytes(b"x")
    n_asked = 0

    def stop_at_the_fifth() -> None:
        nonlocal n_asked
        n_asked += 1
        if n_asked == 5:
            raise StoppedError

    listing = FolderListing(allowed, [allowed], stop_at_the_fifth)
    with pytest.raises(StoppedError):
        list(listing)
    assert listing.n_skipped < 100


def test_a_folder_that_may_not_be_read_is_told_of_and_the_others_are_listed(allowed, monkeypatch) -> None:
    for name in ("a/1.png", "b/2.png", "c/3.png"):
        (allowed / name).parent.mkdir()
        (allowed / name).write_bytes(b"x")
    opened = os.open

    def refusing(path, flags, *more, **named):
        if path == "b":
            raise PermissionError(13, "Permission denied")
        return opened(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", refusing)
    files = list(FolderListing(allowed, [allowed], lambda: None))
    assert [file.name for file in files] == ["a/1.png", "b", "c/3.png"]
    assert files[1].refused == "the folder cannot be read (Permission denied)"


def test_a_file_that_goes_while_its_folder_is_listed_does_not_take_the_others_along(allowed) -> None:
    for name in ("a.png", "b.png", "c.png"):
        (allowed / name).write_bytes(b"x")
    listing = iter(FolderListing(allowed, [allowed], lambda: None))
    first = next(listing)
    (allowed / "b.png").unlink()
    second, third = listing
    assert (first.refused, third.refused, third.name) == (None, None, "c.png")
    assert "went while the folder was listed" in (second.refused or "")


def test_a_selection_says_where_to_look_and_what_to_take(allowed) -> None:
    for name in ("a.txt", "b.png", "c.txt", "inner/d.txt", "other/e.txt"):
        (allowed / name).parent.mkdir(exist_ok=True)
        (allowed / name).write_bytes(b"x")
    passed_over = []

    class Texts(Selection):
        def enters(self, parts: tuple[str, ...]) -> bool:
            return parts == ("inner",)

        def takes(self, parts: tuple[str, ...], name: str) -> bool:
            return name.endswith(".txt") and len(parts) < 2

        def passes_over(self, parts: tuple[str, ...], name: str) -> None:
            passed_over.append((*parts, name))

    assert names(allowed, Texts()) == ["a.txt", "c.txt", "inner/d.txt"]
    assert passed_over == [("b.png",)]


def test_an_endless_descent_of_folders_is_listed_to_its_end(allowed) -> None:
    folder = allowed
    for _ in range(150):
        folder = folder / "d"
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(b"x")
    (folder / "back").symlink_to(allowed)
    deep, back = FolderListing(allowed, [allowed], lambda: None)
    assert deep.name == "d/" * 150 + "a.png"
    assert "links to folders are not followed" in (back.refused or "")
