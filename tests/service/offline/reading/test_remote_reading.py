import fsspec
import pytest

from service.offline.items import Item
from service.offline.reading import urls
from service.offline.reading.item_reader import ItemReader
from service.offline.reading.urls import UnreachableError


@pytest.fixture(autouse=True)
def impatient(monkeypatch) -> None:
    monkeypatch.setattr(urls, "PAUSES", (0.01,))


def read(*items: Item, n_bytes: int = 1000) -> list[bytes | str]:
    reader = ItemReader(allow_urls=True, n_bytes=n_bytes)
    try:
        return list(reader.read(items))
    finally:
        reader.close()


def at(url: str, size: int | None = None) -> Item:
    return Item(path=url, container=url, size=size)


def test_files_of_the_web_come_in_order_with_one_request_each(web) -> None:
    items = []
    for number in range(50):
        web.files[f"/{number}"] = b"%d" % number
        items.append(at(f"{web.url}/{number}"))
    assert read(*items) == [b"%d" % number for number in range(50)]
    assert len(web.requests) == 50


def test_what_is_missing_or_forbidden_is_a_row_and_the_others_come(web) -> None:
    web.files["/a"], web.statuses["/b"] = b"x", [403]
    first, second, third, fourth = read(*[at(f"{web.url}/{name}") for name in "abca"])
    assert (first, fourth) == (b"x", b"x")
    assert "permit" in second
    assert "no such file" in third


def test_permission_that_has_run_out_ends_the_work(web) -> None:
    web.files |= {"/a": b"a", "/b": b"b"}
    reader = ItemReader(allow_urls=True, n_bytes=1000)
    assert list(reader.read([at(f"{web.url}/a")])) == [b"a"]
    web.statuses |= {"/a": [403] * 9, "/b": [403] * 9}
    with pytest.raises(UnreachableError, match="credentials may have run out"):
        list(reader.read([at(f"{web.url}/b")]))
    reader.close()


def test_permission_of_a_store_that_has_run_out_ends_the_work(monkeypatch) -> None:
    store = fsspec.filesystem("memory")
    store.pipe({"/run-out/a": b"a", "/run-out/b": b"b"})
    reader = ItemReader(allow_urls=True, n_bytes=1000)
    assert list(reader.read([at("memory://run-out/a", 1)])) == [b"a"]

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(type(store), "cat_file", refuse)
    assert "permit" in next(reader.read([at("memory://run-out/b", 1)]))
    monkeypatch.setattr(type(store), "info", refuse)
    with pytest.raises(UnreachableError, match="credentials may have run out"):
        list(reader.read([at("memory://run-out/b", 1)]))
    reader.close()


def test_what_fails_for_a_while_is_read_and_for_good_is_a_row_if_the_web_answers(web) -> None:
    web.files |= {"/a": b"a", "/b": b"b", "/c": b"c"}
    web.statuses |= {"/b": [503], "/c": [500] * 99}
    first, second, third, gone = read(*[at(f"{web.url}/{name}") for name in "abc"], at("http://127.0.0.1:1/a"))
    assert (first, second) == (b"a", b"b")
    assert "server cannot be reached" in third
    assert "server cannot be reached" in gone


def test_a_list_may_begin_with_a_server_that_is_gone(web) -> None:
    web.files["/a"] = b"a"
    gone, there = read(at("http://127.0.0.1:1/a"), at(f"{web.url}/a"))
    assert "server cannot be reached" in gone
    assert there == b"a"


def test_where_nothing_answers_the_work_ends() -> None:
    with pytest.raises(UnreachableError, match=r"http://127\.0\.0\.1:1/a cannot be read"):
        read(at("http://127.0.0.1:1/a"), at("http://127.0.0.1:1/b"))


def test_no_more_is_downloaded_than_may_be_decoded(web) -> None:
    web.files |= {"/a": bytes(1001), "/b": bytes(1000)}
    large, right = read(at(f"{web.url}/a"), at(f"{web.url}/b"))
    assert "1001 bytes" in large
    assert right == bytes(1000)
    n_requests = len(web.requests)
    assert "2000000000 bytes" in read(at(f"{web.url}/a", size=2 * 10**9))[0]
    assert len(web.requests) == n_requests


def test_a_file_of_another_size_than_listed_changed(web) -> None:
    web.files["/a"] = b"abc"
    assert "changed" in read(at(f"{web.url}/a", size=2))[0]


def test_object_stores_are_read_alike() -> None:
    fsspec.filesystem("memory").pipe_file("/reading/a", b"abc")
    found, gone, large = read(
        at("memory://reading/a", 3), at("memory://reading/b"), at("memory://reading/a"), n_bytes=3
    )
    assert (found, large) == (b"abc", b"abc")
    assert "no such file" in gone
    assert "3 bytes" in read(at("memory://reading/a"), n_bytes=2)[0]


def test_an_object_that_is_too_large_is_not_taken_into_memory(monkeypatch) -> None:
    fsspec.filesystem("memory").pipe_file("/reading/large", bytes(1001))
    monkeypatch.setattr(urls.filesystem_of("memory://x"), "cat_file", pytest.fail)
    assert "1001 bytes" in read(at("memory://reading/large"))[0]


def test_a_store_that_fails_ends_the_work_even_if_others_answer(web, monkeypatch) -> None:
    def failing(*_: object, **__: object) -> bytes:
        raise TimeoutError

    monkeypatch.setattr(urls.filesystem_of("memory://x"), "cat_file", failing)
    web.files["/a"] = b"abc"
    with pytest.raises(UnreachableError):
        read(at(f"{web.url}/a"), at("memory://reading/a", 3))


@pytest.mark.parametrize("url", ["ftp://host/a", "http://user:pass@host/a", "http://[broken/a", "http://host:99999/a"])
def test_a_url_that_cannot_be_used_is_a_row(url) -> None:
    [answer] = read(at(url))
    assert isinstance(answer, str)


def test_who_stops_asking_stops_the_requests(web) -> None:
    web.files["/a"] = b"abc"
    reader = ItemReader(allow_urls=True, n_bytes=10)
    answers = reader.read([at(f"{web.url}/a")] * 500)
    assert next(answers) == b"abc"
    reader.close()
    with pytest.raises(RuntimeError, match="closed"):
        next(answers)
    assert len(web.requests) < 100
