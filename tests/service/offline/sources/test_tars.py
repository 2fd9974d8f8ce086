import io
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from service.errors import InputError
from service.offline.items import Holder, Item
from service.offline.sources.source import ContainerFile
from service.offline.sources.tars import TarSource

MEMBERS = [("1.cls", b"7"), ("1.jpg", b"one"), ("2.jpg", b"two" * 400), ("notes.txt", b"")]


@pytest.fixture
def archive(tmp_path: Path, tar_of: Callable[..., bytes]) -> Callable[..., ContainerFile]:
    def write(
        members: Sequence[tuple[str, bytes]] = MEMBERS, name: str = "a.tar", end: int | None = None
    ) -> ContainerFile:
        path = tmp_path / name
        path.write_bytes(tar_of(members, "gz" if name.endswith("gz") else "")[:end])
        return ContainerFile(name=name, place=str(path), stamp=str(path.stat().st_mtime_ns))

    return write


def listed(source: TarSource) -> list[Item]:
    return list(source.items(lambda: None))


def test_images_are_listed_with_where_they_begin(archive) -> None:
    file = archive()
    source = TarSource([file])
    one, two = listed(source)
    assert (one.path, one.given_label, one.holder, one.size) == ("a.tar/1.jpg", "7", Holder.TAR, 3)
    assert Path(file.place).read_bytes()[two.position :].startswith(b"twotwo")
    assert (two.stamp, two.columns) == (file.stamp, (None,))
    assert source.skipped == {".txt": 1}
    assert listed(source) == [one, two]
    assert source.skipped == {".txt": 1}


def test_in_compressed_archives_their_numbers_are_their_places(archive) -> None:
    items = listed(TarSource([archive(name="a.tgz")]))
    assert [(item.position, item.holder) for item in items] == [(1, Holder.COMPRESSED_TAR), (2, Holder.COMPRESSED_TAR)]


@pytest.mark.parametrize("end", [512 * 5 + 100, 512 * 4 + 1])
def test_an_archive_that_is_cut_off_says_so_behind_the_images_before(archive, end) -> None:
    *before, last = listed(TarSource([archive(end=end)]))
    assert before[0].refused is None
    assert last.path == "a.tar"
    assert last.columns == (None,)
    assert "damaged or cut off behind a.tar/" in last.refused


def test_an_image_that_is_cut_off_is_refused_itself(archive) -> None:
    _, two, _ = listed(TarSource([archive(end=512 * 5 + 100)]))
    assert two.refused == "the archive ends in the middle of it"


def test_a_damaged_archive_among_others_is_one_row(archive, tmp_path) -> None:
    (tmp_path / "b.tar").write_bytes(b"no archive at all")
    gone = ContainerFile(name="gone.tar", place=str(tmp_path / "gone.tar"))
    damaged = ContainerFile(name="b.tar", place=str(tmp_path / "b.tar"))
    items = listed(TarSource([damaged, gone, archive()]))
    assert [item.path for item in items] == ["b.tar", "gone.tar", "a.tar/1.jpg", "a.tar/2.jpg"]
    assert "the archive cannot be read" in items[0].refused
    assert "No such file" in items[1].refused


@pytest.mark.parametrize("data", [None, b"", b"text", b"\x1f\x8b\x08broken"])
def test_an_archive_alone_that_is_none_is_refused_at_once(data, tmp_path) -> None:
    if data is not None:
        (tmp_path / "a.tar").write_bytes(data)
    with pytest.raises(InputError, match=r"a\.tar"):
        TarSource([ContainerFile(name="a.tar", place=str(tmp_path / "a.tar"))])


def test_links_are_refused_rows(tmp_path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo("link.png")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    items = listed(TarSource([ContainerFile(name="a.tar", place=str(tmp_path / "a.tar"))]))
    assert len(items) == 4
    assert all("link" in item.refused for item in items)


def test_the_order_is_that_of_the_archive_and_names_may_come_twice(archive) -> None:
    items = listed(TarSource([archive([("b.png", b"1"), ("a.png", b"2"), ("b.png", b"3")])]))
    assert [item.path for item in items] == ["a.tar/b.png", "a.tar/a.png", "a.tar/b.png"]
    assert len({item.position for item in items}) == 3


def test_a_sparse_file_is_not_read_as_if_it_were_whole(tmp_path) -> None:
    info = tarfile.TarInfo("a.png")
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[156:157] = tarfile.GNUTYPE_SPARSE
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "a.tar").write_bytes(io.BytesIO(bytes(header) + bytes(1024)).getvalue())
    [item] = listed(TarSource([ContainerFile(name="a.tar", place=str(tmp_path / "a.tar"))]))
    assert "sparse" in item.refused
