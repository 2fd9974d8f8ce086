import os
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.offline.items import Holder, Item
from service.offline.reading import open_streams
from service.offline.reading.item_reader import ItemReader
from service.offline.reading.places import open_place
from service.offline.sources.encoded_parquet import ParquetSource
from service.offline.sources.source import ContainerFile
from service.offline.sources.tars import TarSource


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Item]:
    def write(name: str, data: bytes) -> Item:
        path = tmp_path / name
        path.write_bytes(data)
        return Item(path=name, container=str(path), size=len(data), stamp=str(path.stat().st_mtime_ns))

    return write


def read(items: list[Item], *, allow_urls: bool = False, n_bytes: int = 1000) -> list[bytes | str]:
    reader = ItemReader(allow_urls=allow_urls, n_bytes=n_bytes)
    answers = list(reader.read(items))
    reader.close()
    return answers


def test_files_are_read_in_order_each_when_it_is_asked_for(file) -> None:
    items = [file("b.png", b"1"), file("a\udcff.png", b"2"), file("c.png", b"3")]
    answers = ItemReader(allow_urls=False, n_bytes=10).read(items)
    assert next(answers) == b"1"
    Path(items[2].container).unlink()
    assert next(answers) == b"2"
    assert "No such file" in next(answers)
    assert next(answers, None) is None


def test_a_file_that_changed_says_so(file) -> None:
    longer, touched = file("a.png", b"1"), file("b.png", b"1")
    Path(longer.container).write_bytes(b"12")
    os.utime(touched.container, (1, 1))
    assert all("changed" in answer for answer in read([longer, touched]))


def test_a_file_that_is_too_large_is_not_opened(file) -> None:
    [answer] = read([file("a.png", bytes(1001))])
    assert "1001 bytes" in answer
    huge = Item(path="huge.png", container="/nowhere", size=2**31, stamp="1")
    assert f"{2**31} bytes" in read([huge])[0]


def test_what_the_listing_does_not_know_is_looked_up(file, tmp_path) -> None:
    unknown = Item(path="a.png", container=file("a.png", b"1").container)
    gone = Item(path="b.png", container=str(tmp_path / "b.png"))
    large = Item(path="c.png", container=file("c.png", bytes(2000)).container)
    first, second, third = read([unknown, gone, large])
    assert first == b"1"
    assert "No such file" in second
    assert "2000 bytes" in third


def test_links_pipes_and_folders_are_not_read(file, tmp_path) -> None:
    target = file("a.png", b"1")
    (tmp_path / "link.png").symlink_to(target.container)
    os.mkfifo(tmp_path / "pipe.png")
    items = [Item(path="x", container=str(tmp_path / name)) for name in ("link.png", "pipe.png", "")]
    assert all(isinstance(answer, str) for answer in read(items))


@pytest.mark.skipif(os.geteuid() == 0, reason="whoever may read everything is refused nothing")
def test_a_file_that_may_not_be_read_says_so(file) -> None:
    item = file("a.png", b"1")
    Path(item.container).chmod(0)
    assert "Permission" in read([item])[0]


def test_refused_items_give_their_reasons(file) -> None:
    items = [Item(path="a", refused="no"), file("b.png", b"1"), Item(path="c", refused="never")]
    assert read(items) == ["no", b"1", "never"]


def test_a_disk_that_fails_is_no_matter_of_one_item(file, monkeypatch) -> None:
    item = file("a.png", b"1")

    def failing(*_: object, **__: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "open", failing)
    with pytest.raises(OSError, match="Input/output"):
        read([item])


def test_urls_are_read_only_if_that_is_allowed() -> None:
    for holder in Holder:
        [answer] = read([Item(path="a", container="memory://a.tar", holder=holder, size=1)])
        assert "--allow-urls" in answer


def test_images_of_all_kinds_of_containers_come_as_they_were_packed(file, tar_of, tmp_path) -> None:
    members = [(f"{number}.png", bytes([number]) * (number * 300)) for number in range(5)]
    (tmp_path / "a.tar").write_bytes(tar_of(members))
    (tmp_path / "b.tgz").write_bytes(tar_of(members, "gz"))
    pq.write_table(pa.table({"image": [data for _, data in members]}), tmp_path / "c.parquet", row_group_size=2)
    items: list[Item] = [file("first.png", b"first")]
    for source, name in ((TarSource, "a.tar"), (TarSource, "b.tgz"), (ParquetSource, "c.parquet")):
        items += source([ContainerFile(name=name, place=str(tmp_path / name))]).items(lambda: None)
    expected = [data for _, data in members]
    assert read(items, n_bytes=5000) == [b"first", *expected, *expected, *expected]
    assert read(items[::-1], n_bytes=5000) == [*expected[::-1], *expected[::-1], *expected[::-1], b"first"]
    too_large = [isinstance(answer, str) for answer in read(items, n_bytes=600)]
    assert too_large == [False] + 3 * [False, False, False, True, True]


@pytest.mark.parametrize("name", ["a.tgz", "a.parquet"])
def test_a_container_is_read_once_however_many_shards_it_has(tar_of, tmp_path, monkeypatch, name) -> None:
    members = [(f"{number}.png", b"%d" % number) for number in range(6)]
    (tmp_path / "a.tgz").write_bytes(tar_of(members, "gz"))
    pq.write_table(pa.table({"image": [data for _, data in members]}), tmp_path / "a.parquet")
    file = ContainerFile(name=name, place=str(tmp_path / name))
    items = list((TarSource if name.endswith("tgz") else ParquetSource)([file]).items(lambda: None))
    opened: list[str] = []
    monkeypatch.setattr(open_streams, "open_place", lambda place: opened.append(place) or open_place(place))
    reader = ItemReader(allow_urls=False, n_bytes=10)
    for start in range(0, 6, 2):
        # Nobody asks for more answers than there are items.
        answers = reader.read(items[start : start + 2])
        assert [next(answers), next(answers)] == [b"%d" % start, b"%d" % (start + 1)]
        answers.close()
    reader.close()
    assert opened == [file.place]


def test_a_reader_that_is_closed_reads_no_further(file) -> None:
    reader = ItemReader(allow_urls=False, n_bytes=10)
    answers = reader.read([file("a.png", b"1"), file("b.png", b"2")])
    assert next(answers) == b"1"
    closing = threading.Thread(target=reader.close)
    closing.start()
    closing.join()
    with pytest.raises(RuntimeError, match="closed"):
        next(answers)
