import base64

import pytest

KEY = "anna-0123456789abcdef"


@pytest.fixture
def app(small_app):
    return small_app(keys=f"anna:{KEY}")


def basic(text):
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    "value",
    [f"Bearer {KEY}", f"bearer {KEY}", f"BEARER   {KEY} ", basic(f"anybody:{KEY}"), basic(f":{KEY}")],
)
def test_a_key_opens_as_bearer_and_as_a_password(app, ask, value):
    reply = ask(app, headers=[("Authorization", value)])
    assert (reply.status, reply.json()["key_id"]) == (200, "anna")


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {KEY}x",
        f"Bearer {KEY[:-1]}",
        f"Bearer {KEY.upper()}",
        f"Bearer anna:{KEY}",
        KEY,
        f"Token {KEY}",
        basic(KEY),
        basic(f"anna:{KEY} "),
        "Basic ####",
        "Basic é",
        f"Bearer {KEY}, Bearer {KEY}",
        f"Bearer\t{KEY}",
    ],
)
def test_nothing_else_opens(app, ask, rejections, value):
    reply = ask(app, headers=[] if value is None else [("Authorization", value)])
    assert reply.status == 401
    assert rejections == ["auth"]
    challenges = [value for name, value in reply.headers if name == "www-authenticate"]
    assert [challenge.split()[0] for challenge in challenges] == ["Basic", "Bearer"]
    assert KEY not in str(reply)


def test_of_two_keys_neither_counts(app, ask):
    assert ask(app, headers=[("Authorization", f"Bearer {KEY}"), ("Authorization", "Bearer x")]).status == 401


def test_health_needs_no_key(app, ask):
    assert ask(app, "/v2/health/live").status == 200


@pytest.mark.parametrize(
    "path",
    [
        "//v2/health/live",
        "/v2/health/live/",
        "/v2/health/../../v1/who",
        "/v2/health/live/../../../v1/who",
        "/v2/health",
        "/v2/health/",
        "/v2/health/other",
        "/V2/HEALTH/LIVE",
        "/v2/health/live\0",
        "/v2/health/live;a=b",
        "/v2/health/live?",
        "/v2/health/ready/v1/who",
        "/metrics",
        "/docs",
        "/openapi.json",
        "/",
        "/v1/who",
        "*",
        "",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS", "TRACE", "PROPFIND"])
def test_no_other_path_is_open_however_it_is_written(app, ask, path, method):
    assert ask(app, path, method).status == 401


def test_the_path_that_is_checked_is_the_path_that_is_routed(app, served):
    server = served(app)
    for target, status in (
        (b"/v2/health/live", b"200"),
        (b"/v2/health/%6cive", b"200"),  # the same path, and routed as such
        (b"/v2/health/live?x=/v1/who", b"200"),
        (b"/v2/health/live%2f..%2f..%2f..%2fv1%2fwho", b"401"),
        (b"/v2/health/live%00", b"401"),
        (b"/v2/health/live%3f", b"401"),
        (b"/v2/health/..%2f..%2fv1/who", b"401"),
        (b"//v2/health/../../v1/who", b"401"),
        (b"/v1/who?/v2/health/live", b"401"),
        (b"/v1/who#/v2/health/live", b"401"),
        (b"http://localhost/v2/health/live", b"200"),
        (b"http://localhost/v1/who", b"401"),
        (b"http://x/v2/health/live/../../../v1/who", b"401"),
    ):
        answer = server.exchange(b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % target)
        assert answer.split(b" ")[1] == status, target


def test_whoever_has_no_key_takes_no_place(small_app, ask):
    app = small_app(keys=f"anna:{KEY}", requests_at_once=1, body_bytes=1)
    reply = ask(app, "/v1/echo", "POST", [("content-length", "1000")], [b"x" * 1000])
    assert reply.status == 401


def test_without_keys_everybody_is_anonymous(small_app, ask):
    assert ask(small_app(), headers=[("Authorization", "Bearer x")]).json()["key_id"] == "anonymous"
