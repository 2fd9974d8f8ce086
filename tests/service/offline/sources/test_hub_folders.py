from pathlib import Path

import pytest

from service.audits import sorted_runs
from service.errors import InputError
from service.offline.sources.opening import open_source


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def told(root: Path):
    source = open_source(str(root), allow_urls=False)
    return source, [(item.path, item.given_label, item.columns, item.refused) for item in source.items(lambda: None)]


def test_images_come_as_the_metadata_names_them_and_behind_them_those_it_does_not_name(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sorted_runs, "RUN", 2)
    names = [f"{number}.png" for number in (5, 3, 1, 4, 2)]
    files = dict.fromkeys([*names, "cat/0.png", "dog/\x01.png"], "x") | {"notes.txt": ""}
    metadata = "file_name,label,text\n3.png,cat,drei\ncat/0.png,dog,null\ngone.png,cat,weg\n../out.png,cat,\n"
    source, items = told(write(tmp_path, files | {"metadata.csv": metadata}))
    assert source.columns.names == ["text"]
    assert [item[:3] for item in items[:3]] == [
        ("3.png", "cat", ("drei",)),
        ("cat/0.png", "dog", ("null",)),
        ("gone.png", "cat", ("weg",)),
    ]
    assert [bool(item[3]) for item in items[:4]] == [False, False, True, True]
    assert items[4:] == [(name, None, (None,), None) for name in ("1.png", "2.png", "4.png", "5.png", "dog/\x01.png")]
    assert source.skipped == {".txt": 1}
    assert source.description["metadata"] == ["metadata.csv"]


def test_each_split_may_have_metadata_of_its_own(tmp_path) -> None:
    files = dict.fromkeys(["train/1.png", "train/2.png", "test/1.png"], "x")
    files |= {"train/metadata.jsonl": '{"file_name": "2.png", "n": 7}\n{"file_name": "1.png"}\n'}
    files |= {"test/metadata.csv": "file_name,m\n1.png,x\n"}
    source, items = told(write(tmp_path, files))
    assert source.columns.names == ["m", "n"]
    assert items == [
        ("test/1.png", None, ("x", None), None),
        ("train/2.png", None, (None, "7"), None),
        ("train/1.png", None, (None, None), None),
    ]


def test_a_file_called_metadata_that_names_no_images_is_one_file_more_that_is_passed_over(tmp_path) -> None:
    source, items = told(write(tmp_path, {"cat/1.png": "x", "dog/1.png": "x", "metadata.csv": "id,name\n1,x\n"}))
    assert items == [("cat/1.png", "cat", (), None), ("dog/1.png", "dog", (), None)]
    assert source.skipped == {".csv": 1}


def test_metadata_that_cannot_be_read_as_such_is_told_of(tmp_path, caplog) -> None:
    told(write(tmp_path, {"1.png": "x", "in/metadata.parquet": "PAR1 but not really PAR1", "metadata.csv": "id\n"}))
    messages = dict(message.split(" is passed over as a manifest: ") for message in caplog.messages)
    assert "no column" in messages["metadata.csv"]
    assert "no intact Parquet file" in messages["in/metadata.parquet"]


def test_two_manifests_in_one_folder_are_one_too_many(tmp_path) -> None:
    write(tmp_path, {"1.png": "x", "metadata.csv": "file_name\n1.png\n", "metadata.jsonl": '{"file_name": "1.png"}\n'})
    with pytest.raises(InputError, match="two manifests called metadata"):
        open_source(str(tmp_path), allow_urls=False)
