import pytest

from service.errors import InputError
from service.offline.items import Holder, Item
from service.offline.reading.places import LocalPlace
from service.offline.reading.tar_stream import TarStream

MEMBERS = [("0.png", b"zero"), ("1.txt", b""), ("2.png", b"two"), ("3.png", b"three")]


@pytest.fixture
def stream(tmp_path, tar_of) -> TarStream:
    (tmp_path / "a.tgz").write_bytes(tar_of(MEMBERS, "gz"))
    return TarStream(LocalPlace(str(tmp_path / "a.tgz")), lambda: None)


def at(number: int, size: int) -> Item:
    return Item(path="", holder=Holder.COMPRESSED_TAR, position=number, size=size)


def test_members_are_found_by_their_numbers(stream) -> None:
    assert stream.read(at(0, 4)) == b"zero"
    assert stream.read(at(3, 5)) == b"three"
    assert stream.position == 4
    stream.close()


@pytest.mark.parametrize("item", [at(0, 5), at(4, 1)])
def test_an_archive_with_other_members_gives_nothing_any_more(stream, item) -> None:
    for wanted in (item, at(2, 3)):
        with pytest.raises(InputError, match="other members"):
            stream.read(wanted)
    stream.close()
