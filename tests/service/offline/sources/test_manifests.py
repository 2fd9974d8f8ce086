import io
import os
from pathlib import Path

import pytest

from service.errors import InputError
from service.offline.sources.csv_rows import CsvRows
from service.offline.sources.manifests import LocalImages, ManifestSource, local_opener, open_rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "set"
    (folder / "inner").mkdir(parents=True)
    for name in ("a.png", "inner/b.png", "../outside.png", "ö \n'\".png"):
        (folder / name).write_bytes(b"x")
    return folder


def test_relative_paths_begin_at_the_folder_and_results_are_named_from_there(folder) -> None:
    find = LocalImages(folder, allow_urls=False)
    assert [find(text).path for text in ("a.png", "./inner//b.png", f"{folder}/a.png", f"file://{folder}/a.png")] == [
        "a.png",
        "inner/b.png",
        "a.png",
        "a.png",
    ]
    found = find("inner/../inner/b.png")
    assert (found.container, found.size, found.refused) == (str(folder / "inner" / "b.png"), 1, None)


def test_images_elsewhere_are_named_by_their_whole_path(folder) -> None:
    outside = str(folder.parent / "outside.png")
    for text in ("../outside.png", outside):
        found = LocalImages(folder, allow_urls=False)(text)
        assert (found.path, found.container, found.refused) == (outside, outside, None)


def test_in_the_data_sets_of_others_no_path_leads_out_of_the_folder(folder) -> None:
    find = LocalImages(folder, allow_urls=True, within=True)
    for text in ("../outside.png", "/etc/passwd", "s3://bucket/a.png", "inner/../../outside.png"):
        assert "lies outside" in (find(text).refused or "")
    assert find("inner/b.png").refused is None


def test_urls_are_refused_unless_they_are_allowed(folder) -> None:
    assert "--allow-urls" in (LocalImages(folder, allow_urls=False)("https://host/a.png").refused or "")
    found = LocalImages(folder, allow_urls=True)("https://host/a.png")
    assert (found.container, found.size, found.stamp, found.refused) == ("https://host/a.png", None, "", None)


def test_urls_with_passwords_are_refused_and_written_nowhere(folder) -> None:
    found = LocalImages(folder, allow_urls=True)("https://user:secret@host/a.png")
    assert "password" in (found.refused or "")
    assert found.path == "https://host/a.png"
    assert "secret" not in repr(found)


def test_links_are_resolved_and_loops_pipes_folders_and_odd_names_said(folder) -> None:
    (folder / "link.png").symlink_to("inner/b.png")
    (folder / "way").symlink_to("inner")
    (folder / "loop.png").symlink_to("loop.png")
    os.mkfifo(folder / "pipe.png")
    find = LocalImages(folder, allow_urls=False)
    assert find("link.png").container == find("way/b.png").container == str(folder / "inner" / "b.png")
    assert find("ö \n'\".png").size == 1
    reasons = {"loop.png": "levels of symbolic links", "pipe.png": "not a regular", "inner": "not a regular"}
    reasons |= {
        "gone.png": "No such file",
        "a\0b": "no file can have",
        "\ud800": "no file can have",
        "x" * 300: "too long",
    }
    for text, reason in reasons.items():
        assert reason in (find(text).refused or ""), text


def test_every_row_is_an_item_also_twice_and_also_if_it_is_broken(folder) -> None:
    data = b"path,label,x\na.png,cat,1\na.png,dog,2\n,cat,3\nonly one\n"
    source = ManifestSource(CsvRows(lambda: io.BytesIO(data), "m.csv"), LocalImages(folder, allow_urls=False), {})
    for _ in range(2):
        items = list(source.items(lambda: None))
        assert [(item.path, item.given_label, item.columns) for item in items] == [
            ("a.png", "cat", ("1",)),
            ("a.png", "dog", ("2",)),
            ("line 4", "cat", ("3",)),
            ("line 5", None, (None,)),
        ]
        assert [item.refused and item.refused.split(":")[0] for item in items] == [
            None,
            None,
            "line 4 of the manifest names no file",
            "line 5 of the manifest",
        ]


def test_what_cannot_be_opened_is_told(tmp_path) -> None:
    with pytest.raises(InputError, match=r"gone\.csv cannot be read \(No such file"):
        open_rows(local_opener(tmp_path / "gone.csv"), "gone.csv")
    with pytest.raises(InputError, match=r"has to end in \.csv"):
        open_rows(local_opener(tmp_path / "a.txt"), "a.txt")
