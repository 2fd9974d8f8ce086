import pytest

from service.errors import InputError
from service.rest.guards.origins import checked_origins

OWN, FRIEND, EVIL = "http://localhost:8080", "https://friend.example", "https://evil.example"
POST, GET = "POST", "GET"


def status(small_app, ask, method, headers, **settings):
    path = "/v1/echo" if method == POST else "/v1/who"
    return ask(small_app(**settings), path, method, headers).status


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Origin", OWN)],
        [("Origin", OWN.upper())],
        [("Sec-Fetch-Site", "same-origin")],
        [("Sec-Fetch-Site", "none")],
        # A proxy that gives itself as the host: the browser has seen that both are one.
        [("Origin", "https://outside.example"), ("Sec-Fetch-Site", "same-origin")],
    ],
)
@pytest.mark.parametrize("method", [GET, POST])
def test_clients_and_the_servers_own_page_may_call(small_app, ask, method, headers):
    assert status(small_app, ask, method, headers) == 200


@pytest.mark.parametrize(
    "headers",
    [
        [("Origin", EVIL)],
        [("Origin", "null")],
        [("Origin", "http://localhost:3000")],
        [("Origin", "http://localhost")],
        [("Origin", f"{OWN}.evil.example")],
        [("Origin", f"{OWN}/")],
        [("Origin", "file://localhost:8080")],
        [("Origin", "")],
        [("Origin", OWN), ("Origin", EVIL)],
        [("Sec-Fetch-Site", "cross-site")],
        [("Sec-Fetch-Site", "same-site")],
        [("Sec-Fetch-Site", "anything")],
        [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")],
        [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")],
        [("Sec-Fetch-Site", "none"), ("Origin", EVIL)],
    ],
)
def test_pages_of_other_origins_may_not_change_anything(small_app, ask, rejections, headers):
    assert status(small_app, ask, POST, headers) == 403
    assert rejections == ["cross_site"]


def test_pages_of_other_origins_may_link_here_but_not_embed_or_fetch(small_app, ask):
    def asked(mode, kind):
        headers = [("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", mode), ("Sec-Fetch-Dest", kind)]
        return status(small_app, ask, GET, headers)

    assert asked("navigate", "document") == 200
    for mode, kind in (("navigate", "iframe"), ("navigate", "object"), ("no-cors", "image"), ("cors", "empty")):
        assert asked(mode, kind) == 403


def test_a_named_origin_may_call_and_is_told_so(small_app, ask):
    app = small_app(cors_origins=(FRIEND,))
    headers = [("Origin", FRIEND), ("Sec-Fetch-Site", "cross-site")]
    reply = ask(app, "/v1/echo", POST, headers)
    assert reply.status == 200
    assert reply.header("access-control-allow-origin") == FRIEND
    assert "X-Request-ID" in reply.header("access-control-expose-headers")
    assert reply.header("access-control-allow-credentials") is None
    assert reply.header("vary") == "Origin"
    assert ask(app, headers=[("Host", "localhost")]).header("vary") == "Origin"
    assert ask(app, "/v1/echo", POST, [("Origin", EVIL)]).status == 403


def test_a_browser_asks_first_and_needs_no_key_for_that(small_app, ask):
    app = small_app(cors_origins=(FRIEND,), keys="anna:anna-0123456789abcdef")
    asking = [("Access-Control-Request-Method", POST), ("Access-Control-Request-Headers", "authorization, x-a, é\x00b")]
    reply = ask(app, "/v1/echo", "OPTIONS", [("Origin", FRIEND), *asking])
    assert (reply.status, reply.body) == (204, b"")
    assert reply.header("access-control-allow-headers") == "authorization, x-a"
    assert "POST" in reply.header("access-control-allow-methods")
    assert ask(app, "/v1/echo", "OPTIONS", [("Origin", FRIEND)]).status == 401
    refused = ask(app, "/v1/echo", "OPTIONS", [("Origin", EVIL), *asking])
    assert (refused.status, refused.header("access-control-allow-origin")) == (401, None)


def test_a_refusal_can_be_read_by_the_page_that_may_call(small_app, ask):
    app = small_app(cors_origins=(FRIEND,), keys="anna:anna-0123456789abcdef")
    reply = ask(app, "/v1/who", headers=[("Origin", FRIEND)])
    assert (reply.status, reply.header("access-control-allow-origin")) == (401, FRIEND)


def test_without_named_origins_nothing_is_said_about_them(small_app, ask):
    reply = ask(small_app(), headers=[("Origin", EVIL)])
    assert not [name for name, _ in reply.headers if name.startswith("access-control") or name == "vary"]


@pytest.mark.parametrize(
    "origin", ["*", "friend.example", "https://friend.example/path", "null", "https://*.example", ""]
)
def test_what_is_no_origin_cannot_be_named(origin):
    with pytest.raises(InputError, match="origin"):
        checked_origins([origin])


def test_an_origin_is_kept_as_browsers_write_it():
    assert checked_origins(["HTTPS://Friend.example/", "http://[::1]:80"]) == {FRIEND, "http://[::1]:80"}
