from pathlib import Path

import pytest

from service.audits.folder_listing import FolderListing
from service.errors import InputError
from service.offline.sources.globs import PatternSelection, is_pattern, split_pattern

FILES = ("1.png", "2.jpg", "a/1.png", "a/x/1.png", "b/1.png", "b/x/y/22.png", "notes.txt", "[z]/1.png")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.png", ["1.png"]),
        ("*", ["1.png", "2.jpg"]),
        ("?.*g", ["1.png", "2.jpg"]),
        ("*/*.png", ["[z]/1.png", "a/1.png", "b/1.png"]),
        ("a/**", ["a/1.png", "a/x/1.png"]),
        ("**/x/**/*.png", ["a/x/1.png", "b/x/y/22.png"]),
        ("**/[12].png", ["1.png", "[z]/1.png", "a/1.png", "a/x/1.png", "b/1.png"]),
        ("[!a]/*.png", ["b/1.png"]),
        ("[[]z]/*", ["[z]/1.png"]),
        ("c/*", []),
    ],
)
def test_patterns_fit_what_they_say(root, pattern, names) -> None:
    listing = FolderListing(root, [root], lambda: None, PatternSelection(pattern))
    assert [file.name for file in listing] == names


def test_folders_in_which_nothing_can_fit_are_not_looked_into(root) -> None:
    selection = PatternSelection("a/x*/*.png")
    assert selection.enters(("a",))
    assert selection.enters(("a", "xy"))
    assert not selection.enters(("b",))
    assert not selection.enters(("a", "x", "deeper"))
    assert PatternSelection("a/**/*.png").enters(("a", "b", "c", "d"))


def test_a_pattern_begins_at_the_folder_before_it(root, monkeypatch) -> None:
    (root / "link").symlink_to("a")
    assert split_pattern(f"{root}/a/*.png") == (root / "a", "*.png")
    assert split_pattern(f"{root}/link/*/1.png") == (root / "a", "*/1.png")
    monkeypatch.chdir(root / "b")
    assert split_pattern("../a/**") == (root / "a", "**")
    assert split_pattern("*") == (root / "b", "*")


@pytest.mark.parametrize(
    ("text", "answer"), [("a*", True), ("a?", True), ("[ab]", True), ("a]b", False), ("a{1..2}", False)]
)
def test_patterns_are_known_by_their_characters(text, answer) -> None:
    assert is_pattern(text) is answer


def test_what_is_no_pattern_is_refused(root) -> None:
    with pytest.raises(InputError, match=r"\*\* stands alone"):
        PatternSelection("a**.png")
    with pytest.raises(InputError, match="nothing fits"):
        split_pattern(f"{root}/nowhere/*.png")
