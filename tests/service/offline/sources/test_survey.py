from pathlib import Path

import pytest

from service.errors import InputError
from service.offline.sources.folders import ImageSelection
from service.offline.sources.survey import survey


def surveyed(root: Path, *names: str):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return survey(root, ImageSelection())


@pytest.mark.parametrize(
    ("names", "answer"),
    [
        (("cat/1.png", "dog/1.png"), True),
        (("train/cat/1.png", "test/dog/1.png", "test/notes.txt", "readme.md"), True),
        (("cat/1.png", "dog/in/1.png"), False),
        (("cat/1.png", "dog/1.png", "top.png"), False),
        (("cat/1.png", "cat/2.png"), False),
        (("train/1.png", "Test/1.png"), False),
        (("1.png", "2.png"), False),
    ],
)
def test_class_folders_lie_equally_deep_and_are_several(tmp_path, names, answer) -> None:
    assert surveyed(tmp_path, *names).has_class_folders is answer


def test_what_holds_images_is_found_in_order_with_the_files_of_a_folder_first(tmp_path) -> None:
    found = surveyed(
        tmp_path, "b/2.tar", "b/a/3.tar.gz", "c.parquet", "a/1.pq", "b/metadata.csv", "metadata.jsonl", "x.csv"
    )
    assert found.containers == (("c.parquet",), ("a", "1.pq"), ("b", "2.tar"), ("b", "a", "3.tar.gz"))
    assert found.metadata == (("metadata.jsonl",), ("b", "metadata.csv"))
    assert not found.has_images


def test_a_folder_that_is_none_is_refused(tmp_path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    for name in ("file", "missing"):
        with pytest.raises(InputError, match="cannot be read"):
            survey(tmp_path / name, ImageSelection())
