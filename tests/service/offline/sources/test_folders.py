from pathlib import Path

from service.offline.sources.folders import ImageFolder, ImageSelection


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x" * len(name))


def test_files_are_items_with_what_is_known_of_them(tmp_path) -> None:
    write(tmp_path, "b/2.png", "a.jpg")
    first, second = ImageFolder(tmp_path, {}, selection=ImageSelection()).items(lambda: None)
    assert (first.path, first.container, first.size) == ("a.jpg", str(tmp_path / "a.jpg"), 5)
    assert (second.path, second.container, second.size) == ("b/2.png", str(tmp_path / "b" / "2.png"), 7)
    assert second.stamp == str((tmp_path / "b" / "2.png").stat().st_mtime_ns)
    assert second.given_label is None


def test_the_folder_that_holds_an_image_is_its_label_where_that_is_so(tmp_path) -> None:
    write(tmp_path, "train/cat/1.png", "top.png")
    labels = [
        item.given_label
        for item in ImageFolder(tmp_path, {}, selection=ImageSelection(), labelled=True).items(lambda: None)
    ]
    assert labels == [None, "cat"]


def test_a_dot_before_its_name_takes_no_image_out(tmp_path) -> None:
    write(tmp_path, ".e.png", ".cache/x.png", ".png")
    folder = ImageFolder(tmp_path, {}, selection=ImageSelection())
    assert [item.path for item in folder.items(lambda: None)] == [".e.png", ".cache/x.png"]
    assert folder.skipped == {"hidden": 1}


def test_what_is_passed_over_is_counted_unless_others_read_it(tmp_path) -> None:
    write(tmp_path, "1.png", "a.txt", "in/b.txt", "in/c.tar", "d.tar", ".e")
    folder = ImageFolder(tmp_path, {}, selection=ImageSelection(), read_elsewhere=["in/c.tar"])
    for _ in range(2):
        assert [item.path for item in folder.items(lambda: None)] == ["1.png"]
        assert folder.skipped == {".txt": 2, ".tar": 1, "hidden": 1}
