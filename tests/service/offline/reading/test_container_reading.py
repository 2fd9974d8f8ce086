import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.errors import InputError
from service.offline.items import Item
from service.offline.reading.container_reading import read_forward, read_members
from service.offline.reading.open_streams import OpenStreams
from service.offline.reading.places import LocalPlace
from service.offline.sources.encoded_parquet import ParquetSource
from service.offline.sources.source import ContainerFile
from service.offline.sources.tars import TarSource

MEMBERS = [(f"{number}.png", b"image %d" % number) for number in range(6)]


@pytest.fixture
def packed(tmp_path: Path, tar_of: Callable[..., bytes]) -> Callable[[str], tuple[Path, list[Item]]]:
    def write(name: str) -> tuple[Path, list[Item]]:
        path = tmp_path / name
        file = ContainerFile(name=name, place=str(path))
        if name.endswith(".parquet"):
            pq.write_table(pa.table({"image": [data for _, data in MEMBERS]}), path, row_group_size=3)
            return path, list(ParquetSource([file]).items(lambda: None))
        path.write_bytes(tar_of(MEMBERS, "gz" if name.endswith("gz") else ""))
        return path, list(TarSource([file]).items(lambda: None))

    return write


def read(items: list[Item]) -> list[bytes | str]:
    if items[0].container.endswith(".tar"):
        return list(read_members(items, 1000, lambda items, fetch: map(fetch, items)))
    streams = OpenStreams()
    answers = list(read_forward(items, 1000, streams))
    streams.close()
    return answers


@pytest.mark.parametrize("name", ["a.tar", "a.tgz", "a.parquet"])
def test_a_container_that_changed_or_went_says_so_for_each_image(packed, name) -> None:
    path, items = packed(name)
    os.utime(path, (1, 1))
    assert all("changed" in answer for answer in read(items))
    path.unlink()
    assert all("No such file" in answer for answer in read(items))


@pytest.mark.parametrize("name", ["a.tar", "a.tgz", "a.parquet"])
def test_a_container_that_changes_while_it_is_read_is_noticed(packed, name) -> None:
    path, items = packed(name)
    if name == "a.tar":
        answers = read_members(items, 1000, lambda items, fetch: map(fetch, items))
    else:
        answers = read_forward(items, 1000, OpenStreams())
    assert next(answers) == b"image 0"
    os.utime(path, (1, 1))
    assert all("changed" in answer for answer in answers)


@pytest.mark.parametrize("name", ["a.tar", "a.tgz", "a.parquet"])
def test_a_container_that_went_while_it_was_read_is_said_for_each_image(packed, name, monkeypatch) -> None:
    _, items = packed(name)

    def gone(_: object) -> bool:
        raise InputError("there is no such file")

    monkeypatch.setattr(LocalPlace, "has_changed", gone)
    assert read(items) == ["the container: there is no such file"] * len(items)


def test_an_archive_that_was_cut_off_but_looks_unchanged_gives_what_it_has(packed) -> None:
    path, items = packed("a.tar")
    status = path.stat()
    path.write_bytes(path.read_bytes()[: items[3].position + 2])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert read(items) == [data for _, data in MEMBERS[:3]] + 3 * ["the archive ends in the middle of it"]


def test_damage_of_a_compressed_archive_leaves_what_comes_before(packed) -> None:
    path, items = packed("a.tgz")
    status = path.stat()
    path.write_bytes(path.read_bytes()[:-9])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    answers = read(items)
    assert answers[0] == b"image 0"
    assert all(answer == data or "damaged" in answer for answer, (_, data) in zip(answers, MEMBERS, strict=True))


def test_damage_of_a_row_group_leaves_the_others(packed) -> None:
    path, items = packed("a.parquet")
    data = bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(0).column(0)
    start = column.dictionary_page_offset or column.data_page_offset
    data[start : start + 8] = b"\xff" * 8
    status = path.stat()
    path.write_bytes(bytes(data))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    answers = read(items)
    assert all("no intact Parquet file" in answer for answer in answers[:3])
    assert answers[3:] == [data for _, data in MEMBERS[3:]]


def test_rows_without_an_image_or_beyond_the_end_say_so(tmp_path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": pa.array([b"1", None, b"3"], pa.binary())}), path)
    items = list(ParquetSource([ContainerFile(name="a", place=str(path))]).items(lambda: None))
    assert read(items) == [b"1", "the image is missing", b"3"]
