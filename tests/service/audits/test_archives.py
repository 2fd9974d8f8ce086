import gzip
import io
import shutil
import stat
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.audits.archives import checked_name, reader_of, unpack
from service.audits.members import ArchiveLimits
from service.errors import InputError, TooLargeError, UnsupportedMediaError

LIMITS = ArchiveLimits(n_files=100, n_bytes=10**6, file_bytes=10_000, ratio=50, free_bytes=100_000)


def zipped(*members, compression=zipfile.ZIP_DEFLATED) -> bytes:
    """Of (name or ZipInfo, content)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(*members, mode="w", form=tarfile.PAX_FORMAT) -> bytes:
    """Of (name or TarInfo, content)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=form) as archive:
        for name, content in members:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if info.isreg():
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def gzipped(*members) -> bytes:
    return tarred(*members, mode="w:gz")


PACKERS = pytest.mark.parametrize("pack", [zipped, tarred, gzipped])


@pytest.fixture
def unpacked(tmp_path: Path):
    """Unpacks an archive; gives the result and the folder."""

    def run(data: bytes, limits: ArchiveLimits = LIMITS):
        archive, folder = tmp_path / "archive", tmp_path / "unpacked"
        archive.write_bytes(data)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return unpack(archive, folder, limits, lambda: None), folder

    return run


@PACKERS
def test_images_are_unpacked_under_numbers_and_keep_their_names_as_text(pack, unpacked) -> None:
    result, folder = unpacked(pack(("photos/a.png", b"one"), ("./photos/b ü.JPG", b"two"), ("readme.txt", b"three")))
    assert [(file.name, file.place) for file in result.files] == [("photos/a.png", b"0"), ("photos/b ü.JPG", b"1")]
    assert result.n_skipped == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"0": b"one", "1": b"two"}


@PACKERS
@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("../a.png", "leads out"),
        ("a/../../b.png", "leads out"),
        ("..\\a.png", "leads out"),
        ("/etc/a.png", "absolute"),
        ("\\a.png", "absolute"),
        ("C:\\a.png", "absolute"),
        ("x/inner.zip", "archive"),
        ("inner.tar.gz", "archive"),
        ("a" * 2000 + ".png", "too long"),
    ],
)
def test_names_that_lead_elsewhere_refuse_the_archive(pack, name, complaint, unpacked, tmp_path) -> None:
    with pytest.raises(InputError, match=complaint):
        unpacked(pack((name, b"x"), ("good.png", b"x")))
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "unpacked"}


@PACKERS
def test_a_name_that_comes_twice_refuses_the_archive(pack, unpacked) -> None:
    with pytest.warns(UserWarning, match="Duplicate") if pack is zipped else pytest.MonkeyPatch.context():
        data = pack(("a.png", b"1"), ("a.png", b"2"))
    with pytest.raises(InputError, match="twice"):
        unpacked(data)
    with pytest.raises(InputError, match="twice"):
        unpacked(pack(("a/b.png", b"1"), ("a/./b.png", b"2")))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_tar_refuse_the_archive(kind, unpacked) -> None:
    info = tarfile.TarInfo("a.png")
    info.type, info.linkname = kind, "/etc/passwd"
    with pytest.raises(InputError, match="link or a device"):
        unpacked(tarred((info, b"")))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_in_zip_refuse_the_archive(kind, unpacked) -> None:
    info = zipfile.ZipInfo("a.png")
    info.external_attr = (kind | 0o777) << 16
    with pytest.raises(InputError, match="link or a device"):
        unpacked(zipped((info, b"/etc/passwd")))


def test_sparse_files_refuse_the_archive(unpacked) -> None:
    info = tarfile.TarInfo("a.png")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 0
    with pytest.raises(InputError, match="link or a device"):
        unpacked(tarred((info, b"")))


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_folders_are_passed_over(pack, unpacked) -> None:
    folder = tarfile.TarInfo("photos")
    folder.type = tarfile.DIRTYPE
    result, _ = unpacked(pack((folder if pack is tarred else "photos/", b""), ("photos/a.png", b"x")))
    assert ([file.name for file in result.files], result.n_skipped) == (["photos/a.png"], 0)


@PACKERS
def test_more_members_than_allowed_are_refused(pack, unpacked) -> None:
    limits = ArchiveLimits(n_files=3, n_bytes=10**6, file_bytes=100)
    unpacked(pack(*((f"{index}.png", b"x") for index in range(3))), limits)
    with pytest.raises(TooLargeError, match="more than 3 members"):
        unpacked(pack(*((f"{index}.txt", b"") for index in range(4))), limits)


def test_very_many_members_are_refused_before_they_cost_memory(unpacked) -> None:
    data = zipped(*((f"{index}", b"") for index in range(50_000)), compression=zipfile.ZIP_STORED)
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError, match="more than 1000 members"):
            unpacked(data, ArchiveLimits(n_files=1000, n_bytes=10**6, file_bytes=100))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The directory alone, as objects, would take more than ten.
    assert peak < 5 * 2**20


@PACKERS
def test_a_bomb_is_refused_by_what_it_unpacks_to(pack, unpacked) -> None:
    with pytest.raises(TooLargeError, match="more than 1000000 bytes"):
        unpacked(pack(*((f"{index}.png", bytes(9_000)) for index in range(120))), with_many_files())
    if pack is not tarred:
        with pytest.raises(TooLargeError, match="more than 50 times"):
            unpacked(pack(*((f"{index}.png", bytes(9_000)) for index in range(90))))


def with_many_files() -> ArchiveLimits:
    return ArchiveLimits(n_files=1000, n_bytes=10**6, file_bytes=10_000, ratio=10**6)


def test_what_is_not_unpacked_counts_too_where_it_is_decompressed(unpacked) -> None:
    with pytest.raises(TooLargeError, match="unpacks to more"):
        unpacked(gzipped(("big.txt", bytes(2 * 10**6)), ("a.png", b"x")))
    # A zip has not to be read through.
    result, _ = unpacked(zipped(("big.txt", bytes(2 * 10**6)), ("a.png", b"x")))
    assert len(result.files) == 1


@PACKERS
def test_a_file_that_is_too_large_is_kept_by_one_byte_more_than_is_decoded(pack, unpacked) -> None:
    result, folder = unpacked(pack(("a.png", b"x" * 50_000), ("b.png", b"y")))
    assert [file.size for file in result.files] == [LIMITS.file_bytes + 1, 1]
    assert (folder / "1").read_bytes() == b"y"


@PACKERS
def test_an_archive_that_is_cut_off_anywhere_is_an_error(pack, unpacked) -> None:
    data = pack(*((f"{index}.png", bytes(range(256)) * 4) for index in range(3)))
    # Tar pads its end with zeros that nobody misses.
    ends = len(data.rstrip(b"\0")) + tarfile.BLOCKSIZE if pack is tarred else len(data)
    for end in range(600, ends, 97):
        with pytest.raises(InputError, match=r"damaged|no archive"):
            unpacked(data[:end])


def test_bytes_that_are_changed_on_the_way_are_noticed(unpacked) -> None:
    data = bytearray(zipped(("a.png", bytes(range(256)) * 4), compression=zipfile.ZIP_STORED))
    data[200] ^= 1
    with pytest.raises(InputError, match=r"damaged.*CRC"):
        unpacked(bytes(data))
    data = bytearray(gzip.compress(tarred(("a.png", bytes(range(256)) * 4)), compresslevel=0))
    data[700] ^= 1
    with pytest.raises(InputError, match=r"damaged.*CRC"):
        unpacked(bytes(data))


def test_an_encrypted_archive_is_an_error(unpacked) -> None:
    data = bytearray(zipped(("a.png", b"x")))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.index(signature) + offset
        data[place] |= 1
    with pytest.raises(InputError, match="encrypted"):
        unpacked(bytes(data))


def test_a_method_that_takes_as_much_memory_as_it_says_is_an_error(unpacked) -> None:
    with pytest.raises(InputError, match="compressed in a way"):
        unpacked(zipped(("a.png", b"x" * 1000), compression=zipfile.ZIP_LZMA))


def test_headers_of_tar_that_say_they_are_huge_are_not_read(unpacked) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 5 * 2**20
    header = info.tobuf(tarfile.GNU_FORMAT)
    with pytest.raises(TooLargeError, match="headers of one member"):
        unpacked(gzip.compress(header + bytes(6 * 2**20)), with_many_files())


def test_an_archive_without_images_is_an_error(unpacked) -> None:
    for data in (zipped(), zipped(("a.txt", b"x")), tarred(("a.txt", b"x"))):
        with pytest.raises(InputError, match="no image"):
            unpacked(data)


@pytest.mark.parametrize(
    "data", [b"", b"PK", b"\x89PNG\r\n", b"7z\xbc\xaf\x27\x1c", b"BZh91AY", b"\xfd7zXZ\x00", bytes(1000)]
)
def test_what_is_no_archive_is_said_at_once(data, tmp_path) -> None:
    path = tmp_path / "archive"
    path.write_bytes(data)
    with pytest.raises(UnsupportedMediaError, match="no archive that is read here"):
        reader_of(path)


def test_names_in_no_encoding_become_text(unpacked) -> None:
    result, _ = unpacked(tarred((b"\xff.png".decode("utf-8", "surrogateescape"), b"x"), form=tarfile.GNU_FORMAT))
    assert result.files[0].name == "\\xff.png"


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_raises_anything_but_an_input_error(data, unpacked) -> None:
    pack = data.draw(st.sampled_from([zipped, tarred, gzipped]))
    archive = bytearray(pack(("a/b.png", bytes(range(200))), ("c.jpg", b"x" * 300), ("d.txt", b"")))
    for _ in range(data.draw(st.integers(1, 8))):
        archive[data.draw(st.integers(0, min(len(archive), 4000) - 1))] = data.draw(st.integers(0, 255))
    try:
        result, _ = unpacked(bytes(archive))
    except InputError:
        return
    assert all(checked_name(file.name) == file.name for file in result.files)


@PACKERS
def test_unpacking_ends_in_the_middle_of_a_member_where_nobody_wants_it(pack, tmp_path) -> None:
    archive, folder = tmp_path / "archive", tmp_path / "unpacked"
    archive.write_bytes(pack(("a.png" if pack is zipped else "a.txt", bytes(10**6)), ("b.png", b"x")))
    folder.mkdir()
    asked = []

    def check() -> None:
        asked.append(1)
        if len(asked) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack(archive, folder, ArchiveLimits(n_files=10, n_bytes=10**7, file_bytes=10**6), check)
