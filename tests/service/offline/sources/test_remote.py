import io
from collections.abc import Iterator

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.errors import InputError
from service.offline.items import Holder, Item
from service.offline.reading import urls
from service.offline.reading.item_reader import ItemReader
from service.offline.sources.opening import open_source
from service.offline.sources.source import Source

PICTURES = {f"{number}.png": b"picture %d" % number for number in range(4)}


@pytest.fixture
def store() -> Iterator[fsspec.AbstractFileSystem]:
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    yield filesystem
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]


@pytest.fixture(autouse=True)
def impatient(monkeypatch) -> None:
    monkeypatch.setattr(urls, "PAUSES", (0.01,))


def opened(url: str) -> Source:
    return open_source(url, allow_urls=True)


def listed(source: Source) -> list[Item]:
    return list(source.items(lambda: None))


def read(items: list[Item]) -> list[bytes | str]:
    reader = ItemReader(allow_urls=True, n_bytes=1000)
    answers = list(reader.read(items))
    reader.close()
    return answers


def parquet(images: list[bytes]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"image": images, "label": list(range(len(images)))}), buffer)
    return buffer.getvalue()


def test_urls_need_to_be_allowed() -> None:
    with pytest.raises(InputError, match="--allow-urls"):
        open_source("s3://bucket/folder", allow_urls=False)


def test_one_image_of_the_web_is_a_source(web) -> None:
    web.files["/a.png"] = b"x"
    [item] = listed(opened(f"{web.url}/a.png"))
    assert (item.path, item.size) == ("a.png", 1)
    assert read([item]) == [b"x"]
    with pytest.raises(InputError, match=r"b\.png: there is no such file"):
        opened(f"{web.url}/b.png")


def test_archives_of_the_web_are_read_in_parts_or_from_front_to_back(web, tar_of) -> None:
    web.files["/a.tar"] = tar_of([("1.cls", b"7"), *PICTURES.items()])
    for gives_parts, holder in ((True, Holder.TAR), (False, Holder.COMPRESSED_TAR)):
        web.gives_parts = gives_parts
        items = listed(opened(f"{web.url}/a.tar"))
        assert {item.holder for item in items} == {holder}
        assert read(items) == list(PICTURES.values())
    web.files["/a.tar"] = tar_of([("x.png", b"x")])
    assert all("changed" in answer for answer in read(items))


def test_numbered_archives_are_one_source(web, tar_of) -> None:
    for number, member in enumerate(PICTURES.items()):
        web.files[f"/shard-{number:02d}.tar.gz"] = tar_of([member], "gz")
    items = listed(opened(f"{web.url}/shard-{{00..04}}.tar.gz"))
    assert read(items[:4]) == list(PICTURES.values())
    assert items[0].path == "shard-00.tar.gz/0.png"
    assert (items[4].path, items[4].refused) == ("shard-04.tar.gz", "there is no such file")


def test_parquet_of_the_web_needs_parts(web) -> None:
    web.files["/a.parquet"] = parquet(list(PICTURES.values()))
    items = listed(opened(f"{web.url}/a.parquet"))
    assert [item.given_label for item in items] == ["0", "1", "2", "3"]
    assert read(items) == list(PICTURES.values())
    web.gives_parts = False
    with pytest.raises(InputError, match="gives no parts"):
        opened(f"{web.url}/a.parquet")


def test_a_manifest_of_the_web_names_images_beside_it_and_elsewhere(web) -> None:
    web.files["/data/list.csv"] = (
        "path,label,age\n"
        f"images/a%20b #.png,cat,3\n{web.url}/c.png?sig=s,dog,\nfile:///etc/passwd,,\n../x.png,,\n/etc/x.png,,\n"
    ).encode()
    web.files["/data/images/a%2520b%20%23.png"] = b"1"
    web.files["/c.png?sig=s"] = b"2"
    source = opened(f"{web.url}/data/list.csv")
    items = listed(source)
    assert source.columns.names == ["age"]
    assert [item.given_label for item in items[:2]] == ["cat", "dog"]
    assert items[1].path == f"{web.url}/c.png"
    assert read(items[:2]) == [b"1", b"2"]
    assert all(item.refused for item in items[2:])


def test_folders_of_the_web_are_not_listed(web) -> None:
    with pytest.raises(InputError, match="cannot be listed"):
        opened(f"{web.url}/folder/")


def test_a_folder_of_a_store_has_its_images_archives_and_tables(store, tar_of) -> None:
    for name, data in PICTURES.items():
        store.pipe_file(f"/bucket/data/inner/{name}", data)
    store.pipe_file("/bucket/data/notes.txt", b"")
    store.pipe_file("/bucket/data/z.tar", tar_of([("in.png", b"in")]))
    store.pipe_file("/bucket/data/y.parquet", parquet([b"row"]))
    source = opened("memory://bucket/data/")
    items = listed(source)
    assert [item.path for item in items] == [f"inner/{name}" for name in PICTURES] + [
        "z.tar/in.png",
        "y.parquet/000000",
    ]
    assert dict(source.skipped) == {".txt": 1}
    assert source.columns.names == ["json"]
    assert read(items) == [*PICTURES.values(), b"in", b"row"]
    assert source.description == {"kind": "folder", "location": "memory://bucket/data"}


def test_a_pattern_takes_what_fits_it(store) -> None:
    for name in ("a/1.png", "a/2.jpg", "b/3.png", "c/d/4.png"):
        store.pipe_file(f"/bucket/{name}", b"x")
    assert [item.path for item in listed(opened("memory://bucket/[ab]/*.png"))] == ["a/1.png", "b/3.png"]
    assert [item.path for item in listed(opened("memory://bucket/**/*.png"))] == ["a/1.png", "b/3.png", "c/d/4.png"]
    with pytest.raises(InputError, match="name the bucket"):
        opened("memory://*/a.png")


def test_a_manifest_of_a_store_names_objects_below_its_folder(store) -> None:
    store.pipe_file("/bucket/list.jsonl", b'{"path": "a b.png", "label": "cat"}\n')
    store.pipe_file("/bucket/a b.png", b"x")
    [item] = listed(opened("memory://bucket/list.jsonl"))
    assert (item.container, item.given_label) == ("memory://bucket/a b.png", "cat")
    assert read([item]) == [b"x"]


@pytest.mark.parametrize(
    "url", ["memory://bucket/none", "memory://bucket/text", "ftp://host/a.png", "memory://b/x.txt"]
)
def test_what_holds_no_images_is_refused(store, url) -> None:
    store.pipe_file("/bucket/text/a.txt", b"")
    store.pipe_file("/b/x.txt", b"text")
    with pytest.raises(InputError):
        opened(url)
