import io
import os
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.errors import InputError
from service.offline.items import Holder
from service.offline.reading.item_reader import ItemReader
from service.offline.sources.opening import open_source


def write_tar(path: Path, *names: str) -> None:
    with tarfile.open(path, "w") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))


def write_parquet(path: Path, *images: bytes) -> None:
    pq.write_table(pa.table({"image": list(images), "n": list(range(len(images)))}), path)


def opened(text: object):
    source = open_source(str(text), allow_urls=False)
    return source, list(source.items(lambda: None))


def paths(text: object) -> list[str]:
    return [item.path for item in opened(text)[1]]


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Images, archives, Parquet files and others, at several depths."""
    root = tmp_path / "mixed"
    (root / "in").mkdir(parents=True)
    for name in ("z.png", "in/a.png", "notes.txt", "in/list.csv"):
        (root / name).write_bytes(name.encode())
    write_tar(root / "in" / "x.tar", "1.png", "2.txt")
    write_tar(root / "b.tar", "3.png")
    write_parquet(root / "a.parquet", b"first", b"second")
    pq.write_table(pa.table({"embedding": [1.0]}), root / "in" / "index.parquet")
    return root


def test_a_folder_of_everything_is_read_as_a_whole_and_the_rest_counted(mixed) -> None:
    source, items = opened(mixed)
    assert [item.path for item in items] == [
        "z.png", "in/a.png", "b.tar/3.png", "in/x.tar/1.png", "a.parquet/000000", "a.parquet/000001",
    ]  # fmt: skip
    assert source.columns.names == ["json", "n"]
    assert items[-1].columns == (None, 1)
    assert source.skipped == {".txt": 2, ".csv": 1, ".parquet": 1}
    assert source.description == {
        "kind": "folder", "location": str(mixed), "labels_from_folders": False, "metadata": [],
        "containers": ["parquet", "tar"],
    }  # fmt: skip
    assert items == list(source.items(lambda: None))
    reader = ItemReader(allow_urls=False, n_bytes=100)
    assert list(reader.read(items)) == [b"z.png", b"in/a.png", b"3.png", b"1.png", b"first", b"second"]
    reader.close()


def test_an_archive_that_is_none_is_a_row_among_images_and_an_error_alone(tmp_path) -> None:
    (tmp_path / "broken.tar").write_bytes(b"no archive")
    (tmp_path / "broken.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match="broken"):
        opened(tmp_path / "broken.tar")
    (tmp_path / "a.png").write_bytes(b"x")
    _, items = opened(tmp_path)
    assert [(item.path, item.refused is None) for item in items] == [
        ("a.png", True), ("broken.tar", False), ("broken.parquet", False),
    ]  # fmt: skip


def test_links_to_archives_are_followed_and_pipes_and_loops_are_not(tmp_path) -> None:
    folder, store = tmp_path / "folder", tmp_path / "store"
    folder.mkdir(), store.mkdir()
    write_tar(store / "0a1b2c", "1.png")
    (folder / "linked.tar").symlink_to(store / "0a1b2c")
    (folder / "loop.tar").symlink_to("loop.tar")
    os.mkfifo(folder / "pipe.tar")
    source, items = opened(folder)
    assert [item.path for item in items] == ["loop.tar", "linked.tar/1.png"]
    assert items[0].refused is not None
    assert items[1].container == str(store / "0a1b2c")
    assert source.skipped == {".tar": 1}


def test_a_pattern_takes_what_fits_it_and_counts_nothing_else(mixed) -> None:
    assert paths(f"{mixed}/**/*.png") == ["z.png", "in/a.png"]
    assert paths(f"{mixed}/*.tar") == ["b.tar/3.png"]
    source, items = opened(f"{mixed}/in/*")
    assert [item.path for item in items] == ["a.png", "x.tar/1.png"]
    assert source.skipped == {".txt": 1, ".csv": 1, ".parquet": 1}
    assert source.description["pattern"] == "*"


def test_what_exists_is_taken_by_its_name_even_if_it_looks_like_a_pattern(tmp_path) -> None:
    odd = tmp_path / "[a]*{1,2}"
    odd.mkdir()
    (odd / "1.png").write_bytes(b"x")
    assert paths(odd) == ["1.png"]


def test_one_image_is_a_source_and_a_link_to_it_keeps_its_name(tmp_path) -> None:
    (tmp_path / "blob").write_bytes(b"xyz")
    (tmp_path / "a.png").symlink_to("blob")
    _, [item] = opened(tmp_path / "a.png")
    assert (item.path, item.container, item.size, item.holder) == ("a.png", str(tmp_path / "blob"), 3, Holder.FILE)
    assert opened(f"file://{tmp_path}/a.png")[1] == [item]


def test_numbered_archives_are_one_source(tmp_path, monkeypatch) -> None:
    for number in range(3):
        write_tar(tmp_path / f"s-{number:02}.tar", f"{number}.png")
    monkeypatch.chdir(tmp_path)
    source, items = opened("s-{00..02}.tar")
    assert [item.path for item in items] == ["s-00.tar/0.png", "s-01.tar/1.png", "s-02.tar/2.png"]
    assert source.description == {"kind": "tar", "location": f"{tmp_path}/s-{{00..02}}.tar"}
    with pytest.raises(InputError, match=r"s-03\.tar: the file cannot be read"):
        opened("s-{00..03}.tar")
    with pytest.raises(InputError, match="named by a pattern"):
        opened("{a,b}.png")


def test_a_parquet_file_is_a_manifest_where_it_holds_no_images(tmp_path) -> None:
    write_parquet(tmp_path / "images.parquet", b"x")
    pq.write_table(pa.table({"path": ["a.png"], "n": [1.5]}), tmp_path / "list.parquet")
    assert opened(tmp_path / "images.parquet")[1][0].holder is Holder.PARQUET
    source, [item] = opened(tmp_path / "list.parquet")
    assert (item.path, item.columns, item.refused) == (
        "a.png", (1.5,), "the file cannot be read (No such file or directory)",
    )  # fmt: skip
    assert source.description == {"kind": "manifest", "location": str(tmp_path / "list.parquet")}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "names nothing"),
        ("a\0b", "names nothing"),
        ("{}/gone", "does not exist; give a folder"),
        ("{}/empty", "no image"),
        ("{}/empty/*.png", "no image"),
        ("{}/texts", "no image"),
        ("{}/loop", "leads nowhere"),
        ("{}/pipe", "neither a folder nor a regular file"),
        ("{}/a.zip", "no kind of file"),
        ("{}/only_a_header.csv", "names no image"),
        ("https://host/a.png", "--allow-urls"),
        ("s3://bucket/*.tar", "--allow-urls"),
    ],
)
def test_what_holds_no_images_is_refused_with_what_to_do(text, complaint, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("x")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a.zip").write_bytes(b"x")
    (tmp_path / "only_a_header.csv").write_text("path,label\n")
    with pytest.raises(InputError, match=complaint):
        open_source(text.replace("{}", str(tmp_path)), allow_urls=False)


def test_odd_names_are_listed_and_can_be_read(tmp_path) -> None:
    names = [b"\xff.png", b"a\nb.png", "😀.png".encode(), b"' \".png", b"-rf.png", b"%20.png", b"://.png"]
    folder = os.fsencode(tmp_path)
    for name in names[:-1]:
        Path(os.fsdecode(folder + b"/" + name)).write_bytes(name)
    _, items = opened(tmp_path)
    reader = ItemReader(allow_urls=False, n_bytes=100)
    assert sorted(reader.read(items)) == sorted(names[:-1])
    reader.close()
    assert all(item.path.isprintable() or "\n" in item.path for item in items)
