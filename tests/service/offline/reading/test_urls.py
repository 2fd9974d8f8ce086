import datetime
import sys

import aiohttp
import pytest

from service.errors import InputError
from service.offline.reading import urls
from service.offline.reading.urls import (
    UnreachableError,
    checked_url,
    filesystem_of,
    patiently,
    refusal_of,
    shown_name,
    stamp_of,
)


@pytest.mark.parametrize("url", ["s3://b/a.png", "HTTPS://host/a.png?sig=@x", "memory://a", "gs://b/@/x"])
def test_urls_of_known_protocols_are_taken(url) -> None:
    assert checked_url(url).lower() == url.lower()


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("ftp://host/a.png", "protocol"),
        ("file:///a.png", "protocol"),
        ("a.png", "protocol"),
        ("simplecache::s3://b/a", "protocol"),
        ("s3://b/a::zip://x", "chain"),
        ("http://host/a\nb", "control"),
        ("https://user:secret@host/a.png", "password"),
        ("s3://key:secret@bucket/a", "password"),
    ],
)
def test_others_are_refused_and_no_password_is_repeated(url, complaint) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        checked_url(url)
    assert "secret" not in str(caught.value)


def test_signatures_are_not_shown() -> None:
    assert shown_name("https://host/a.png?sig=x#y") == "https://host/a.png"
    assert shown_name("HTTPS://host/a.png?sig=x") == "HTTPS://host/a.png"
    assert shown_name("s3://b/a?.png") == "s3://b/a?.png"
    assert shown_name("https://user:secret@host/a@b.png") == "https://host/a@b.png"
    assert shown_name("s3://key:secret@b/a") == "s3://b/a"


@pytest.mark.parametrize("url", ["http://[broken/a", "http://exa\u2100mple.com/a"])
def test_what_is_no_url_has_a_name_too(url) -> None:
    assert shown_name(url + "?sig=x") == url


def test_a_missing_library_is_told_with_the_extra_that_has_it(monkeypatch) -> None:
    urls._filesystem.cache_clear()
    for protocol, library, extra in (("s3", "s3fs", "s3"), ("gs", "gcsfs", "gcs"), ("https", "aiohttp", "http")):
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(InputError, match=rf"needs? {library}; .*isthmus\[{extra}\]"):
            filesystem_of(f"{protocol}://x/y")


def answers(status: int) -> Exception:
    return aiohttp.ClientResponseError(None, (), status=status)


@pytest.mark.parametrize(
    ("error", "is_final"),
    [
        (FileNotFoundError(), True),
        (PermissionError(), True),
        (answers(403), True),
        (answers(404), True),
        (answers(310), True),
        (answers(429), False),
        (answers(503), False),
        (aiohttp.InvalidURL("x"), True),
        (aiohttp.ClientPayloadError(), False),
        (TimeoutError(), False),
        (ConnectionResetError(), False),
    ],
)
def test_what_the_file_is_to_blame_for_is_told_from_what_may_pass(error, is_final) -> None:
    assert (refusal_of(error) is not None) is is_final


def test_what_may_pass_is_tried_again_and_then_ends_the_work(monkeypatch) -> None:
    waited: list[float] = []
    failures = [TimeoutError(), answers(503)]

    def sometimes() -> str:
        if failures:
            raise failures.pop()
        return "here"

    assert patiently(sometimes, "s3://b/a", waited.append) == "here"
    assert waited == [0.5, 2.0]

    def never() -> str:
        raise TimeoutError("slow")

    with pytest.raises(UnreachableError, match=r"s3://b/a cannot be read \(slow\)"):
        patiently(never, "s3://b/a?x=1".partition("?")[0], waited.append)
    assert waited[2:] == list(urls.PAUSES)


def test_what_cannot_pass_is_not_tried_again() -> None:
    def forbidden() -> str:
        raise PermissionError

    with pytest.raises(InputError, match="permit"):
        patiently(forbidden, "s3://b/a", pytest.fail)


def test_the_most_exact_thing_that_a_server_says_is_the_stamp() -> None:
    assert stamp_of({"ETag": '"a"', "LastModified": 3}) == '"a"'
    assert stamp_of({"created": datetime.datetime(1970, 1, 1, 0, 0, 2, tzinfo=datetime.UTC)}) == stamp_of(
        {"created": 2.0}
    )
    assert stamp_of({"ETag": None, "size": 3}) == ""
