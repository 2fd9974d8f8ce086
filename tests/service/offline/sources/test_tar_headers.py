import gzip
import io
import tarfile

import pytest

from service.offline.sources.tar_headers import DamagedError, TarWalk

MEMBERS = [("a.png", b"1" * 700), ("b/c.png", b"22"), ("d.txt", b"")]


def walk(data: bytes, *, is_seekable: bool = True) -> TarWalk:
    return TarWalk(io.BytesIO(data), lambda: None, is_seekable=is_seekable)


@pytest.mark.parametrize("compression", ["", "gz", "bz2", "xz"])
@pytest.mark.parametrize("is_seekable", [True, False])
def test_members_are_found_with_their_bytes_whatever_compresses_them(tar_of, compression, is_seekable) -> None:
    walking = walk(tar_of(MEMBERS, compression), is_seekable=is_seekable)
    assert walking.is_compressed is bool(compression)
    found = [(member.name, member.number, walking.read(member.size)) for member in walking]
    assert found == [(name, number, data) for number, (name, data) in enumerate(MEMBERS)]


def test_the_offset_of_a_member_is_where_its_bytes_begin(tar_of) -> None:
    data = tar_of(MEMBERS)
    for member, (_, content) in zip(walk(data), MEMBERS, strict=True):
        assert data[member.offset : member.offset + member.size] == content


def test_names_of_any_length_and_in_no_encoding_come_as_they_are(tar_of) -> None:
    names = ["x" * 300 + ".png", "ü/\udcff.png", "a\nb.png"]
    assert [member.name for member in walk(tar_of([(name, b"1") for name in names]))] == names


@pytest.mark.parametrize("n_bytes", [1024, 1100, 512, 20, 2048])
def test_an_archive_that_is_cut_off_is_damaged_wherever_it_ends(tar_of, n_bytes) -> None:
    with pytest.raises(DamagedError):
        list(walk(tar_of(MEMBERS)[:n_bytes]))


def test_what_follows_the_end_is_not_passed_over(tar_of) -> None:
    with pytest.raises(DamagedError, match="behind its end"):
        list(walk(tar_of(MEMBERS) + tar_of(MEMBERS)))


def test_a_damaged_header_is_no_end(tar_of) -> None:
    data = bytearray(tar_of(MEMBERS))
    second = data.index(b"b/c.png")
    data[second : second + 3] = b"xxx"
    with pytest.raises(DamagedError, match="mark of its end"):
        list(walk(bytes(data)))


def test_a_wrong_checksum_of_gzip_is_damage(tar_of) -> None:
    data = bytearray(tar_of(MEMBERS, "gz"))
    data[-6] ^= 1
    with pytest.raises(DamagedError):
        list(walk(bytes(data)))


@pytest.mark.parametrize("data", [b"", b"plain text", b"\x28\xb5\x2f\xfd" + bytes(600), b"x" * 5000])
def test_what_is_no_archive_is_told_apart(data) -> None:
    with pytest.raises(DamagedError):
        list(walk(data))


def test_headers_larger_than_memory_are_not_read() -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 2**40
    with pytest.raises(DamagedError, match="headers"):
        list(walk(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)))


def test_sizes_that_lead_back_end_the_walk() -> None:
    info = tarfile.TarInfo("x.png")
    info.size = -1024
    with pytest.raises(DamagedError, match="has -1024 bytes"):
        list(walk(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)))


@pytest.mark.parametrize("size", [2**44, 2**70])
def test_sizes_that_no_file_has_are_damage(tmp_path, size) -> None:
    info = tarfile.TarInfo("x.png")
    info.size = size
    (tmp_path / "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with (tmp_path / "a.tar").open("rb") as stream, pytest.raises(DamagedError, match=f"has {size} bytes"):
        list(TarWalk(stream, lambda: None, is_seekable=True))


def test_headers_of_all_members_do_not_add_up_in_memory() -> None:
    buffer = io.BytesIO()
    for number in range(4):
        words = {f"{number}-{key}": "x" * 1000 for key in range(400)}
        buffer.write(tarfile.TarInfo.create_pax_global_header(words))
        buffer.write(tarfile.TarInfo(f"{number}.png").tobuf(tarfile.USTAR_FORMAT))
    walking = iter(walk(buffer.getvalue() + bytes(1024)))
    assert [next(walking).number for _ in range(2)] == [0, 1]
    with pytest.raises(DamagedError, match="headers of all members"):
        next(walking)


def test_an_empty_archive_has_no_members(tar_of) -> None:
    assert list(walk(tar_of([]))) == []
    assert list(walk(gzip.compress(tar_of([])))) == []


def test_whoever_asks_for_an_end_gets_it_in_the_middle_of_a_large_member(tar_of) -> None:
    class StopError(Exception):
        pass

    calls = iter(range(3))

    def check() -> None:
        if next(calls, None) is None:
            raise StopError

    with pytest.raises(StopError):
        list(TarWalk(io.BytesIO(tar_of([("a", bytes(2**23))])), check, is_seekable=False))
