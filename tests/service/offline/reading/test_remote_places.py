import fsspec
import pytest

from service.errors import InputError
from service.offline.reading import remote_places, urls
from service.offline.reading.remote_places import BUFFER_BYTES, RemotePlace, probe, read_at_most
from service.offline.reading.urls import UnreachableError

DATA = bytes(range(256)) * 2000


@pytest.fixture(autouse=True)
def impatient(monkeypatch) -> None:
    monkeypatch.setattr(urls, "PAUSES", (0.01,))


def test_a_web_server_is_asked_for_one_byte_to_know_a_file(web) -> None:
    web.files["/a"] = DATA
    found = probe(web.url + "/a")
    assert (found.size, found.has_parts) == (len(DATA), True)
    assert found.stamp
    assert web.requests == [("/a", "bytes=0-0")]


def test_parts_of_a_file_are_read_where_they_are(web) -> None:
    web.files["/a"] = DATA
    place = RemotePlace(web.url + "/a")
    assert place.read_at(300, 5) == DATA[300:305]
    assert place.read_at(len(DATA) - 2, 5) == DATA[-2:]
    assert place.read_at(len(DATA), 5) == b""
    with place.stream() as stream:
        assert stream.read(3) == DATA[:3]
        assert stream.seek(-4, 2) == len(DATA) - 4
        assert stream.read() == DATA[-4:]
    assert len(web.requests) == 5


def test_a_server_without_parts_is_read_from_front_to_back(web) -> None:
    web.files["/a"], web.gives_parts = DATA, False
    place = RemotePlace(web.url + "/a")
    assert not place.is_seekable
    with place.stream() as stream:
        assert not stream.seekable()
        assert stream.read() == DATA


def test_a_server_that_sends_all_of_a_file_instead_of_a_part_is_not_heard_out(web, monkeypatch) -> None:
    web.files["/a"] = DATA
    place = RemotePlace(web.url + "/a")
    web.gives_parts = False
    taken: list[int] = []

    def watched(answer: object, n_bytes: int) -> bytes:
        data = read_at_most(answer, n_bytes)
        taken.append(len(data))
        return data

    monkeypatch.setattr(remote_places, "read_at_most", watched)
    with pytest.raises(InputError, match="another part"):
        place.read_at(300, 5)
    assert taken == [6]


def test_a_size_that_no_file_has_is_none(web) -> None:
    web.files["/a"] = DATA
    answer = web.answer
    web.answer = lambda path, wanted: (206, {"Content-Range": "bytes 0-0/" + "9" * 30}, answer(path, wanted)[2])
    assert probe(web.url + "/a").size is None


def test_object_stores_are_read_alike() -> None:
    fsspec.filesystem("memory").pipe_file("/places/a", DATA)
    place = RemotePlace("memory://places/a")
    assert (place.size, place.is_seekable) == (len(DATA), True)
    with place.stream() as stream:
        assert stream.read() == DATA
    with pytest.raises(InputError, match="folder"):
        RemotePlace("memory://places")
    with pytest.raises(InputError, match="no such file"):
        RemotePlace("memory://places/b")


def test_a_place_that_changed_is_noticed_after_a_while(web, monkeypatch) -> None:
    web.files["/a"] = DATA
    place = RemotePlace(web.url + "/a")
    web.files["/a"] = DATA[::-1]
    assert not place.has_changed()
    monkeypatch.setattr("service.offline.reading.remote_places.CURRENT_SECONDS", 0.0)
    assert place.has_changed()


@pytest.mark.parametrize(("status", "kind"), [(403, InputError), (404, InputError), (500, UnreachableError)])
def test_refusals_are_told_from_failures(web, status, kind) -> None:
    web.files["/a"], web.statuses["/a"] = DATA, [status] * 2
    with pytest.raises(kind):
        probe(web.url + "/a")


def test_a_failure_that_passes_is_not_noticed(web) -> None:
    web.files["/a"], web.statuses["/a"] = DATA, [503]
    assert probe(web.url + "/a").size == len(DATA)


def test_a_server_that_is_not_there_is_unreachable(web) -> None:
    with pytest.raises(UnreachableError):
        probe("http://127.0.0.1:1/a")


def test_a_stream_asks_for_pieces_and_not_for_bytes(web) -> None:
    web.files["/a"] = DATA
    with RemotePlace(web.url + "/a").stream() as stream:
        for start in range(0, BUFFER_BYTES, 512):
            assert stream.read(512) == DATA[start : start + 512]
    assert len(web.requests) == 2
